"""Speeds, from when pieces came."""

from mlxhub.core.speed import Answer, Speed, speed_of


def test_one_answer() -> None:
    answer = Answer(asked_at=10.0, first_at=10.5, last_at=12.5, prompt_tokens=100, completion_tokens=21)
    assert speed_of([[answer]]) == Speed(
        streams=1,
        first_seconds=0.5,
        stream_tokens_per_second=10.0,
        tokens_per_second=8.4,
        prompt_tokens=100,
        answer_tokens=21,
    )


def test_answers_at_once_count_together_from_the_first_question_to_the_last_word() -> None:
    run = [Answer(0.0, 1.0, 3.0, 10, 41), Answer(0.0, 2.0, 4.0, 10, 39)]
    speed = speed_of([run])
    assert (speed.streams, speed.tokens_per_second, speed.first_seconds) == (2, 20.0, 1.5)


def test_the_median_run_counts() -> None:
    runs = [[Answer(0.0, 0.0, seconds, 1, 10)] for seconds in (1.0, 2.0, 100.0)]
    assert speed_of(runs).tokens_per_second == 5.0


def test_an_answer_of_one_token_has_no_rate() -> None:
    assert speed_of([[Answer(0.0, 1.0, 1.0, 1, 1)]]).stream_tokens_per_second is None
