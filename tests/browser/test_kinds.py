"""A model of each kind, tried out at the dashboard."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, FilePayload, Locator, Page, expect

from mlxhub.files.keys import current_key
from mlxhub.worker.media.sounds import encode_sound
from tests.browser.asking import HubFacts, Keys
from tests.browser.test_dashboard import opened
from tests.browser.watching import Watch
from tests.models.images import make_z_image
from tests.models.minilm import minilm
from tests.models.speech import make_soprano
from tests.models.vision import cached_vision_model
from tests.models.whisper import make_whisper
from tests.stories.conftest import LiveHub, make_hub
from tests.worker.test_senses import film, tone

CACHE = Path(__file__).parents[2] / ".cache"


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    place = tmp_path_factory.mktemp("kinds")
    drawer = make_z_image(place / "zimage")
    hub = make_hub(place)
    hub.write(
        f"{{name: eyes, model_path: '{cached_vision_model(CACHE)}'}}",
        f"{{name: vectors, model_path: '{minilm()}'}}",
        f"{{name: ears, model_path: '{make_whisper(place / 'whisper')}'}}",
        f"{{name: mouth, model_path: '{make_soprano(place / 'soprano')}'}}",
        f"{{name: brush, model_path: '{drawer}'}}",
        f"{{name: rubber, model_path: '{drawer}', model_type: image-edit}}",
    )
    hub.ok("install")
    yield hub
    hub.remove()


@pytest.fixture
def page(kinds: LiveHub, context: BrowserContext) -> Iterator[Page]:
    directory = kinds.home / "state/keys"
    keys = Keys(admin=current_key(directory, "admin"), api=current_key(directory, "api"))
    watch = Watch(context, kinds.url)
    page = context.new_page()
    with HubFacts(kinds.url, keys) as facts:
        page.goto(facts.link())
    expect(page.locator("#models tbody tr")).to_have_count(6)
    yield page
    watch.check()


def png(colour: str) -> FilePayload:
    target = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(target, "PNG")
    return {"name": "picture.png", "mimeType": "image/png", "buffer": target.getvalue()}


def state(details: Locator) -> Locator:
    return details.locator("[data-field=state]")


def test_a_picture_goes_with_a_message(page: Page) -> None:
    details = opened(page, "eyes")
    details.get_by_label("Picture").set_input_files(png("green"))
    details.get_by_label("Message to eyes").fill("Which colour is this?")
    details.get_by_role("button", name="Send").click()
    expect(details.locator(".reply")).to_have_text("green")
    expect(details.locator(".mine img")).to_be_visible()


def test_a_video_and_a_sound_go_with_messages(page: Page) -> None:
    """This model takes the one, and says of the other that it does not."""
    details = opened(page, "eyes")
    watched: FilePayload = {"name": "a.mp4", "mimeType": "video/mp4", "buffer": film("blue")}
    details.get_by_label("Picture").set_input_files(watched)
    details.get_by_label("Message to eyes").fill("Which colour is this?")
    details.get_by_role("button", name="Send").click()
    expect(details.locator(".reply")).to_have_text("blue")
    expect(details.get_by_label("a.mp4")).to_be_visible()
    heard: FilePayload = {"name": "a.wav", "mimeType": "audio/wav", "buffer": tone(440)}
    details.get_by_label("Picture").set_input_files(heard)
    details.get_by_label("Message to eyes").fill("What is this?")
    details.get_by_role("button", name="Send").click()
    expect(state(details)).to_contain_text("this model takes no sound")
    expect(details.get_by_label("a.wav")).to_be_visible()


def test_sentences_are_compared(page: Page) -> None:
    details = opened(page, "vectors")
    details.get_by_role("button", name="Compare").click()
    expect(state(details)).to_contain_text("384 numbers for each of 3 sentences")
    cells = details.get_by_role("table").locator("tbody td").all_inner_texts()
    assert cells[0] == cells[4] == cells[8] == "1.00"
    assert float(cells[1]) > float(cells[2])


def test_a_recording_is_written_down(page: Page) -> None:
    details = opened(page, "ears")
    sound = encode_sound(np.zeros(16_000, np.float32), 16_000, "wav")
    recording: FilePayload = {"name": "a.wav", "mimeType": "audio/wav", "buffer": sound}
    details.get_by_label("A recording").set_input_files(recording)
    details.get_by_role("button", name="Write down").click()
    expect(state(details)).to_contain_text("After")
    expect(details.locator("[data-panel=sound] [data-field=result]")).not_to_be_empty()


def test_a_text_is_spoken(page: Page) -> None:
    details = opened(page, "mouth")
    details.get_by_label("Text to be spoken by mouth").fill("Hello.")
    details.get_by_role("button", name="Speak").click()
    expect(state(details)).to_have_text("Spoken.")
    player = details.locator("audio")
    expect(player).to_be_visible()
    page.wait_for_timeout(200)
    assert player.evaluate("(audio) => audio.error") is None


def test_a_picture_is_drawn(page: Page) -> None:
    details = opened(page, "brush")
    details.get_by_label("What is to be drawn by brush").fill("a cat")
    details.get_by_label("Size").select_option("256x256")
    details.get_by_role("button", name="Draw").click()
    expect(details.get_by_role("button", name="Stop")).to_be_visible()
    image = details.get_by_role("img", name="a cat")
    expect(image).to_be_visible(timeout=60_000)
    assert image.evaluate("(image) => image.naturalWidth") == 256
    expect(state(details)).to_contain_text("256x256, seed ")


def test_a_picture_is_changed(page: Page) -> None:
    details = opened(page, "rubber")
    details.get_by_label("What is to be drawn by rubber").fill("a dog")
    details.get_by_role("button", name="Draw").click()
    expect(state(details)).to_have_text("Choose the picture that is to be changed.")
    details.get_by_label("Picture to change").set_input_files(png("red"))
    details.get_by_role("button", name="Draw").click()
    expect(details.get_by_role("img", name="a dog")).to_be_visible(timeout=60_000)


def test_what_goes_wrong_is_said_in_the_form(page: Page) -> None:
    details = opened(page, "ears")
    details.get_by_label("Text to be spoken by ears").fill("Hello.")
    details.get_by_role("button", name="Speak").click()
    expect(state(details)).to_contain_text("This model hears, and does not speak.")
