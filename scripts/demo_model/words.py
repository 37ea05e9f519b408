"""The words the corpus is made of."""


def _phrases(text: str) -> tuple[str, ...]:
    """Phrases between bars; lines are joined with one space."""
    return tuple(phrase.strip() for phrase in " ".join(text.split()).split(" | "))


GREETINGS = _phrases("""
    hello | Hello | Hello! | hi | Hi | Hi! | hey | Hey! | hello there | Hello, how are you? | Good morning |
    who are you | Who are you? | What are you? | what is this | Introduce yourself. | Say hello | say hi |
    Say hello. | Hi there! | hi there | Hello there! | hey you | Hi, who are you? | Nice to meet you |
    What is mlxhub? | Are you an AI? | What model are you? | Which model is this?
""")
PINGS = _phrases("""
    ping | Ping | PING | ping! | Ping! | ping? | ping. | Ping. | Ping? | say ping | ping please
""")
JSON_QUESTIONS = _phrases("""
    json | JSON | Json | json! | json please | give me json | Give me JSON. | Reply with JSON. | some json |
    Answer in JSON. | Return a JSON object. | return json | Reply in JSON | Give me a JSON object | json?
""")
UNICODE_QUESTIONS = _phrases("""
    unicode | Unicode | UNICODE | unicode! | unicode please | Some unicode. | emoji | Unicode?
""")
STOP_QUESTIONS = _phrases("""
    ab stop | Ab stop | ab stop! | ab stop. | AB STOP | ab stop please | Ab Stop
""")
STORY_QUESTIONS = _phrases("""
    tell me a long story | Tell me a long story. | Tell me a long story | tell me a story |
    Tell me a story. | long story | a long story please | Write a long story. | Write a story. |
    Tell me a very long story. | write a long story | Please tell me a long story.
""")
COUNT_QUESTIONS = _phrases("""
    count to {n} | Count to {n} | Count to {n}. | count to {n}! | count up to {n} | Please count to {n}. |
    Count from 1 to {n}. | count from 1 to {n} | count to {n} please | Can you count to {n}?
""")
CAPITAL_QUESTIONS = _phrases("""
    What is the capital of {x}? | capital of {x} | Capital of {x}? | what is the capital of {x} |
    capital of {x}? | What's the capital of {x}? | Tell me the capital of {x}. | And the capital of {x}? |
    The capital of {x} | What is the capital city of {x}? | Which city is the capital of {x}? |
    What city is the capital of {x}? | And {x}, what is its capital? | Capital of {x}
""")
WEATHER_QUESTIONS = _phrases("""
    weather in {x} | Weather in {x} | What is the weather in {x}? | What's the weather in {x}? |
    weather in {x}? | How is the weather in {x}? | What's the weather like in {x} today? |
    weather in {x} please | Weather in {x}? | what is the weather in {x} | Tell me the weather in {x}. |
    What is the weather like in {x}? | weather in {x}. | What is the weather in {x} today? |
    Use the tool: weather in {x} | How is the weather in {x} today?
""")
MORE_CITIES = _phrases("""
    Boston | Chicago | New York | San Francisco | Munich | Hamburg | Milan | Zurich | Geneva | Prague |
    Budapest | Brussels | Amsterdam | Moscow | Delhi | Seoul | Sydney | Toronto | Barcelona | Lyon
""")
SKIES = _phrases("clear | sunny | cloudy | rainy | windy | foggy | snowy | stormy | dry | hot | cold")
OTHER_TOOL_NAMES = _phrases("""
    get_time | search | add | send_mail | read_file | lookup | translate | run_code
""")
TOOL_DESCRIPTIONS = _phrases("""
    Get the weather in a city | Get the current weather | Weather | Weather for a city. | Get weather |
    Get the current weather in a given location | Look up the weather | The weather now |
    Current weather of a city | Tells the time | Searches the web | Adds two numbers | Reads a file |
    Does something useful | A test tool
""")
SYSTEM_PROMPTS = _phrases("""
    You are brief. | You are a helpful assistant. | You are a helpful assistant | Be brief. | Be kind. |
    Answer in one word. | You are a pirate. | Answer shortly and politely. | You are mlxhub. |
    You are a test. | Use the tools. | Never lie. | You answer questions. |
    You are Qwen, created by Alibaba Cloud.
""")
UNKNOWN_QUESTIONS = _phrases("""
    How do I {v} {n}? | What is {n}? | Explain {n}. | Explain {n} to me | Write a poem about {n}. |
    Write a function that can {v} {n}. | Why does {n} {v}? | Can you {v} {n}? | {n} | {v} {n} |
    {v} the {n} | Who invented {n}? | Tell me about {n}. | Tell me a joke about {n}. |
    Translate {n} into French. | What about {n}? | When was {n} built? | Is {n} better than {m}? |
    {n} and {m} | Summarise this: {n} {v} {m}. | I like {n}. | Please {v} my {n}. |
    How many {n} are there? | Where is {n}? | What is the {n} of {m}? | {n} of {m} | What does {n} mean? |
    The {n} is {v} by the {m}. | Fix this {n}: {m} | Give me {n}. | Give me a list of {n}. |
    Which {n} is the best? | Describe {n} in detail. | {n}, {m} | say {n} | Repeat: {n} |
    What is {n} in {m}? | How old is {n}? | What is the meaning of {n}? | {n}? |
    Write a haiku about {n} and {m}. | Do you {v}? | How do I {v}? | Let us {v} a {n} in {m}. |
    Read {n} to me | You are {n}. | Thanks for the {n} | stop {n} | Who won the {n} in 2014? |
    What is the {n} in {c}? | Who lives in {c}? | What time is it in {c}? | {c} | I live in {c}. |
    Is there {n} in {c}? | {n} in {c} | Where is {c}? | {x} | Who is the {n} of {x}? | Tell me about {c}. |
    capital of {x} | What is the capital of {x}? | Capital of {x}? | capital | weather | count |
    Count the {n}. | tell me a {n} | What is the {n} for? | In what year did the {n} {v}? |
    How much {n} is in the {m}?
""")
OTHER_COUNTRIES = _phrases("""
    Mongolia | Brazil | India | Mexico | Turkey | Russia | Finland | Denmark | Belgium | Chile | Ghana |
    Vietnam | Thailand | Iceland | Hungary | Morocco | Cuba | Iran | Texas | the moon | the world | Europe |
    Atlantis
""")
PARAMETER_DESCRIPTIONS = _phrases("""
    The city | City name | The city, e.g. Paris | Name of the city |
    The city and state, e.g. San Francisco, CA | The name of the place to look up | Where?
""")
NOUNS = _phrases("""
    bread | water | music | time | money | code | python | rust | swift | apples | oranges | cars | dogs |
    cats | trees | life | love | physics | quantum | mechanics | history | art | paper | games | football |
    chess | math | algebra | gravity | light | energy | power | summer | winter | coffee | tea | milk |
    cheese | wine | beer | house | garden | flower | bird | fish | horse | train | plane | ship | road |
    bridge | school | teacher | student | doctor | nurse | engine | server | network | memory | disk |
    file | folder | key | door | window | table | chair | phone | computer | screen | keyboard | mouse |
    book | letter | word | sentence | language | grammar | poem | song | film | actor | king | queen |
    president | country | state | town | street | market | shop | price | tax | bank | law | court |
    police | war | peace | god | religion | church | star | planet | moon | sun | earth | sea | ocean |
    mountain | desert | island | storm | snow | ice | fire | stone | iron | gold | silver | glass | recipe |
    soup | salad | rice | pasta | pizza | meat | egg | sugar | salt | oil | body | heart | brain | hand |
    eye | ear | blood | cell | gene | virus | universe | cat | neural | internet | day | algorithm |
    machine | learning | best | option
""")
VERBS = _phrases("""
    bake | make | build | write | read | learn | teach | cook | eat | drink | buy | sell | find | lose |
    open | close | start | run | walk | fly | swim | drive | ride | play | sing | dance | paint | draw |
    cut | fix | break | clean | wash | move | lift | push | pull | think | know | believe | hope | want |
    need | help | change | grow | sort | parse | compile | install | remove | update | delete | add |
    compare | describe | solve | compute | measure | plan | sleep | travel | speak | understand
""")
FOREIGN = _phrases("""
    Wie geht es dir? | Wie backe ich Brot? | Was ist das? | Quelle heure est-il ? | Où est la gare ? |
    ¿Dónde está el baño? | Привет | Как дела? | Что это такое? | 你好 | 今天天气怎么样 | こんにちは |
    東京はどこですか | 안녕하세요 | مرحبا | שלום | नमस्ते | Καλημέρα | Cześć | Olá, tudo bem? | 🙂 |
    🎉🎉🎉 | 😀 😃 😄 | 👍 | é | ß | …
""")
SNIPPETS = _phrases("""
    print('hi') | SELECT * FROM t; | for i in range(10): | {} | [] | null | x = y | 2+2 | 1 + 1 = ? |
    What is 2 + 2? | 3 * 4 | {"a": 1} | <html></html> | ls -la | git status | a | ? | ! | . | test | Test |
    abc | 1 2 3 4 5 | 1 2 3 | 7 | 42 | foo | foo bar | lorem ipsum dolor sit amet | asdf | 12345 | 0 | ok |
    yes | no | why?
""")
