// One answer, for whoever runs this.
import { connect, greedy, user } from "./scenario.mjs";

const answer = await connect().chat.completions.create({ ...greedy, messages: user("ping") });
console.log(answer.choices[0].message.content);
