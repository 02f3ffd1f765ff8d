"""Jobs as models: bounds, one meaning whatever the spelling, and the schemas that are published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ValidationError

from schemas.export import json_schema
from schemas.jobs import (
    JOB,
    MAX_BARS_PER_JOB,
    MAX_BARS_PER_SYMBOL,
    BackfillJob,
    BarsFetchJob,
    QuotesFetchJob,
    TimeWindow,
    encode_job,
    fixture_backfill_job,
    fixture_bars_job,
    fixture_quotes_job,
)
from schemas.provider import INTERVALS, PROVIDERS

START = datetime(2015, 1, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
MODELS: tuple[type[BaseModel], ...] = (BarsFetchJob, QuotesFetchJob, BackfillJob)
FIXTURES = (fixture_bars_job(), fixture_quotes_job(), fixture_backfill_job())
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "1d": 1_440}
TICK = timedelta(microseconds=1)


def a_window(length: timedelta) -> TimeWindow:
    return TimeWindow(start=START, end=START + length)


def symbols(count: int) -> list[str]:
    return [f"S{i}" for i in range(count)]


def said(job: BaseModel, **fields: Any) -> list[str]:
    """Return what is wrong with a fixture of which these fields are changed."""
    try:
        type(job).model_validate(dict(job) | fields)
    except ValidationError as exc:
        return [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()]
    return []


class TestWindow:
    def test_times_in_one_zone_are_ordered_as_instants(self) -> None:
        # 01:50 before the clocks go back, 01:10 after: on the wall it is earlier
        before = datetime(2025, 11, 2, 1, 50, tzinfo=NEW_YORK)
        after = datetime(2025, 11, 2, 1, 10, fold=1, tzinfo=NEW_YORK)
        assert TimeWindow(start=before, end=after).length == timedelta(minutes=20)
        with pytest.raises(ValidationError, match="start should be before end"):
            TimeWindow(start=after, end=before)

    def test_a_day_of_25_hours(self) -> None:
        day = TimeWindow(
            start=datetime(2025, 11, 2, tzinfo=NEW_YORK), end=datetime(2025, 11, 3, tzinfo=NEW_YORK)
        )
        assert day.length == timedelta(hours=25)

    @pytest.mark.parametrize("value", [None, [], "2025-01-06/2025-01-07", ["2025-01-06", "2025-01-07"], 1])
    def test_is_an_object(self, value: Any) -> None:
        assert [s.partition(":")[0] for s in said(FIXTURES[0], window=value)] == ["window"]

    def test_is_closed(self) -> None:
        window = {"start": START, "end": START + TICK, "zone": "UTC"}
        assert said(FIXTURES[0], window=window) == ["window.zone: Extra inputs are not permitted"]


class TestLimits:
    """A window may be as long as can be meant, to the microsecond."""

    @pytest.mark.parametrize("interval", INTERVALS)
    @pytest.mark.parametrize("job", [FIXTURES[0], FIXTURES[2]], ids=lambda job: job.job_type)
    def test_bars_of_a_symbol(self, job: BaseModel, interval: str) -> None:
        longest = timedelta(minutes=MINUTES[interval]) * MAX_BARS_PER_SYMBOL
        first, last = datetime(1990, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC)
        if longest > last - first:
            assert not said(job, interval=interval, window={"start": first, "end": last})
            return
        window = {"start": first, "end": first + longest}
        assert not said(job, interval=interval, window=window)
        assert said(job, interval=interval, window=window | {"end": first + longest + TICK}) == [
            f"window: {MAX_BARS_PER_SYMBOL + 1} bars of {interval}, at most {MAX_BARS_PER_SYMBOL}"
        ]

    def test_ten_years_are_ten_years(self) -> None:
        for year in (1992, 2015, 2016):
            start = datetime(year, 1, 1, tzinfo=UTC)
            window = TimeWindow(start=start, end=start.replace(year=year + 10))
            assert not said(fixture_backfill_job(), interval="1m", window=window)

    def test_bars_of_a_month(self) -> None:
        assert not said(FIXTURES[0], symbols=symbols(1_000), window=a_window(timedelta(days=31)))

    @pytest.mark.parametrize("interval", INTERVALS)
    def test_bars_of_a_job(self, interval: str) -> None:
        longest = timedelta(minutes=MINUTES[interval]) * (MAX_BARS_PER_JOB // 1_000)
        first, last = datetime(1990, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC)
        if longest > last - first:
            assert not said(
                FIXTURES[0], symbols=symbols(1_000), interval=interval, window={"start": first, "end": last}
            )
            return
        window = {"start": first, "end": first + longest}
        assert not said(FIXTURES[0], symbols=symbols(1_000), interval=interval, window=window)
        window["end"] += TICK
        assert said(FIXTURES[0], symbols=symbols(1_000), interval=interval, window=window) == [
            f"window: 50001 bars of {interval}, 1000 symbols, at most 50000000 together: send several jobs"
        ]
        assert not said(FIXTURES[0], symbols=symbols(999), interval=interval, window=window)

    def test_quotes_of_a_symbol(self) -> None:
        assert not said(FIXTURES[1], window=a_window(timedelta(days=31)))
        assert said(FIXTURES[1], window=a_window(timedelta(days=31) + TICK)) == [
            "window: 31 days, 0:00:00.000001 long, at most 31 days"
        ]
        assert said(FIXTURES[1], window=a_window(timedelta(days=365, hours=6))) == [
            "window: 365 days, 6:00:00 long, at most 31 days"
        ]

    def test_quotes_of_a_job(self) -> None:
        assert not said(FIXTURES[1], symbols=symbols(1_000), window=a_window(timedelta(days=1)))
        assert said(FIXTURES[1], symbols=symbols(1_000), window=a_window(timedelta(days=1, hours=1))) == [
            "window: 1 day, 1:00:00 long, 1000 symbols, at most 1000 days together: send several jobs"
        ]
        assert not said(FIXTURES[1], symbols=symbols(999), window=a_window(timedelta(days=1, minutes=1)))

    def test_a_field_that_is_wrong_itself_is_not_counted_with(self) -> None:
        ten_years = a_window(timedelta(days=3_650))
        assert [s.partition(":")[0] for s in said(FIXTURES[0], interval="2m", window=ten_years)] == [
            "interval"
        ]
        too_many = said(FIXTURES[0], symbols=symbols(1_001), window=ten_years)
        assert [s.partition(":")[0] for s in too_many] == ["symbols"]


class TestFields:
    @pytest.mark.parametrize("job", FIXTURES, ids=lambda job: job.job_type)
    @pytest.mark.parametrize(
        "good", ["j", "0", "a" * 128, "a.b_c-D.9", "5f0c7c1e-5c4f-4e0c-8f0a-1b2c3d4e5f60"]
    )
    def test_job_id(self, job: BaseModel, good: str) -> None:
        assert not said(job, job_id=good)

    @pytest.mark.parametrize("job", FIXTURES, ids=lambda job: job.job_type)
    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "a" * 129,
            "a b",
            "a/b",
            "..",
            "../x",
            "-rf",
            ".a",
            "a\n",
            "a\0",
            "a%2e",
            "é",
            "a:b",
            "a?b",
            None,
            1,
        ],
    )
    def test_no_job_id(self, job: BaseModel, bad: Any) -> None:
        assert [s.partition(":")[0] for s in said(job, job_id=bad)] == ["job_id"]

    @pytest.mark.parametrize(
        "good", ["x", "a" * 256, "Lücke nach Ausfall", "停電後の欠落", "gap 🚨 (see #4)", "a\u200db"]
    )
    def test_reason(self, good: str) -> None:
        assert not said(FIXTURES[2], reason=good)

    @pytest.mark.parametrize(
        "bad",
        [
            "", " ", " x", "\u00a0", "a" * 257, "é" * 257, "a\nb", "a\n", "\ta", "a\tb", "a\0", "\x7f",
            "a\x85b", "a\u2028b", "a\u202eb", "a\u2066b", "\ud800", None, 1, ["a"],
        ],
    )  # fmt: skip
    def test_no_reason(self, bad: Any) -> None:
        assert {s.partition(":")[0] for s in said(FIXTURES[2], reason=bad)} == {"reason"}

    @pytest.mark.parametrize("job", FIXTURES[:2], ids=lambda job: job.job_type)
    def test_symbols(self, job: BarsFetchJob | QuotesFetchJob) -> None:
        assert not said(job, symbols=["AAPL", "BRK.B", "XBT/USDT", "^GSPC", "Z" * 32])
        assert said(job, symbols=["AAPL", "MSFT", "AAPL"]) == ["symbols: AAPL is there twice, at 0 and 2"]
        assert said(job, symbols=[*symbols(1_000), "S0"]) == ["symbols: 1001 symbols, 1 to 1000 allowed"]
        bad = (
            "aapl",
            "",
            "A" * 33,
            "AAPL ",
            "AAPL\n",
            "A\0",
            "X'; DROP TABLE",
            "../A",
            "\uff21",
            None,
            1,
            ["A"],
        )
        wrong = said(job, symbols=["AAPL", *bad])
        assert [s.partition(":")[0] for s in wrong] == [f"symbols.{i + 1}" for i in range(len(bad))]

    @pytest.mark.parametrize("value", ["AAPL", "AAPL,MSFT", {"AAPL": 1}, {"AAPL"}, None, 1, b"AAPL"])
    def test_symbols_are_an_array(self, value: Any) -> None:
        assert said(FIXTURES[0], symbols=value) == ["symbols: Input should be an array of symbols"]

    @pytest.mark.parametrize("name", ["allow_downgrade", "extended_hours"])
    @pytest.mark.parametrize("value", [0, 1, "true", "no", None, 1.0])
    def test_flags_are_booleans(self, name: str, value: Any) -> None:
        assert [s.partition(":")[0] for s in said(FIXTURES[0], **{name: value})] == [name]

    @pytest.mark.parametrize("job", FIXTURES, ids=lambda job: job.job_type)
    def test_requested_at(self, job: BaseModel) -> None:
        assert not said(job, requested_at=None)
        assert [s.partition(":")[0] for s in said(job, requested_at=datetime(2025, 1, 1))] == ["requested_at"]  # noqa: DTZ001 # naive on purpose
        assert [s.partition(":")[0] for s in said(job, requested_at=1_736_173_800)] == ["requested_at"]

    def test_nothing_changes_afterwards(self) -> None:
        job = BarsFetchJob.model_validate(dict(FIXTURES[0]) | {"symbols": ["AAPL"]})
        assert job.symbols == ("AAPL",)
        assert len({*FIXTURES, fixture_bars_job()}) == 3
        with pytest.raises(ValidationError, match="frozen"):
            job.job_id = "other"  # type: ignore[misc] # that is the point


def test_spelling_does_not_matter() -> None:
    value = encode_job(fixture_bars_job())
    spelt = value.replace(b"14:30:00Z", b"23:30:00+09:00").replace(b"21:00:00Z", b"16:00-05:00")
    assert spelt != value
    job = JOB.validate_json(spelt)
    assert (job, hash(job), encode_job(job)) == (fixture_bars_job(), hash(fixture_bars_job()), value)


def test_a_window_of_the_hour_that_comes_twice_survives() -> None:
    start = datetime(2025, 11, 2, 1, 30, tzinfo=NEW_YORK)
    window = TimeWindow(start=start, end=start.replace(fold=1))
    job = fixture_bars_job().model_copy(update={"window": window})
    assert JOB.validate_json(encode_job(job)) == job


def test_what_is_absent_is_not_encoded() -> None:
    job = QuotesFetchJob(job_id="j", symbols=("AAPL",))
    assert json.loads(encode_job(job)) == {
        "job_type": "quotes",
        "job_id": "j",
        "symbols": ["AAPL"],
        "coverage": "consolidated",
        "allow_downgrade": False,
    }


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (schema, *schema.get("$defs", {}).values()):
        yield from part.get("properties", {}).items()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
class TestSchema:
    REQUIRED = {  # noqa: RUF012 # nobody writes to it
        "BarsFetchJob": ["job_type", "job_id", "symbols", "interval", "window"],
        "QuotesFetchJob": ["job_type", "job_id", "symbols"],
        "BackfillJob": ["job_type", "job_id", "symbol", "interval", "window", "priority", "reason"],
    }

    def test_required(self, model: type[BaseModel]) -> None:
        schema = json_schema(model)
        assert schema["required"] == self.REQUIRED[model.__name__]
        # what is not required says what it is then
        for name, field in schema["properties"].items():
            assert ("default" in field) != (name in schema["required"]), name

    def test_required_is_what_the_topic_requires(self, model: type[BaseModel]) -> None:
        (fixture,) = (job for job in FIXTURES if isinstance(job, model))
        fields = json.loads(fixture.model_dump_json())
        for name in fields:
            without = json.dumps({other: value for other, value in fields.items() if other != name})
            if name in self.REQUIRED[model.__name__]:
                with pytest.raises(ValidationError):
                    JOB.validate_json(without)
            else:
                JOB.validate_json(without)

    def test_every_field_is_described(self, model: type[BaseModel]) -> None:
        for name, field in _properties(json_schema(model)):
            assert field["description"].endswith("."), name

    def test_every_object_is_closed(self, model: type[BaseModel]) -> None:
        schema = json_schema(model)
        for part in (schema, *schema.get("$defs", {}).values()):
            assert part["additionalProperties"] is False

    def test_every_word_is_bounded(self, model: type[BaseModel]) -> None:
        for name, field in _properties(json_schema(model)):
            for option in (*field.get("anyOf", [field]), field.get("items", {})):
                if option.get("type") == "string":
                    assert option.keys() & {"pattern", "const", "enum"}, name
                assert option.get("type") not in {"number", "integer"}, name

    def test_times_have_their_form(self, model: type[BaseModel]) -> None:
        times = {"start", "end", "requested_at"}
        for name, field in _properties(json_schema(model)):
            (option, *_) = field.get("anyOf", [field])
            assert (option.get("format") == "date-time") == (name in times)
            assert option.get("format") != "date-time" or "pattern" in option

    def test_arrays_have_their_bounds(self, model: type[BaseModel]) -> None:
        arrays = [f for _, f in _properties(json_schema(model)) if f.get("type") == "array"]
        assert len(arrays) == ("symbols" in model.model_fields)
        for field in arrays:
            assert (field["minItems"], field["maxItems"], field["uniqueItems"]) == (1, 1_000, True)

    def test_providers_are_the_known_ones(self, model: type[BaseModel]) -> None:
        hint = json_schema(model)["properties"]["provider_hint"]
        assert hint["anyOf"][0]["enum"] == list(PROVIDERS)


def test_the_union_is_told_apart_by_job_type() -> None:
    schema = JOB.json_schema()
    assert schema["discriminator"] == {
        "propertyName": "job_type",
        "mapping": {
            "bars": "#/$defs/BarsFetchJob",
            "quotes": "#/$defs/QuotesFetchJob",
            "backfill": "#/$defs/BackfillJob",
        },
    }
    for model in MODELS:
        assert schema["$defs"][model.__name__]["required"][0] == "job_type"
