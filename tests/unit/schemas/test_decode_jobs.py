"""Whatever is on the topic: a job, or the name of the field that is wrong."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.base import SYMBOL
from schemas.dead_letter import MAX_MESSAGE_BYTES, message_of
from schemas.decode_jobs import MAX_JOB_BYTES, examine_job
from schemas.errors import Poison, Reason
from schemas.jobs import (
    JOB_ID,
    MAX_BARS_PER_JOB,
    MAX_BARS_PER_SYMBOL,
    MAX_REASON,
    MAX_SYMBOLS,
    BackfillJob,
    BarsFetchJob,
    Job,
    QuotesFetchJob,
    encode_job,
    fixture_backfill_job,
    fixture_bars_job,
    fixture_quotes_job,
)
from schemas.provider import INTERVALS, PROVIDERS, Adjustment, Coverage

Fields = dict[str, Any]
PROPERTY = settings(max_examples=200, deadline=None)
MODELS: dict[str, type[BaseModel]] = {"bars": BarsFetchJob, "quotes": QuotesFetchJob, "backfill": BackfillJob}
FIXTURES = (fixture_bars_job(), fixture_quotes_job(), fixture_backfill_job())
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "1d": 1_440}
FIRST = datetime(1990, 1, 2, tzinfo=UTC)
LAST = datetime(2099, 12, 30, tzinfo=UTC)
US = timedelta(microseconds=1)


def _text(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)


_ZONES = st.sampled_from((0, -300, 330, 840, -720)).map(lambda m: timezone(timedelta(minutes=m)))
_SYMBOLS = st.sampled_from(("AAPL", "BRK.B", "XBT/USDT", "Z" * 32)) | _text(SYMBOL)
_LINE = st.characters(min_codepoint=33, exclude_categories=("C", "Z"))


@st.composite
def instants(draw: st.DrawFn, earliest: datetime = FIRST, latest: datetime = LAST) -> datetime:
    at = draw(st.integers(0, (latest - earliest) // US))
    return (earliest + at * US).astimezone(draw(_ZONES))


@st.composite
def windows(draw: st.DrawFn, longest: timedelta) -> Fields:
    start = draw(instants(latest=LAST - US))
    end = draw(instants(earliest=start + US, latest=min(LAST, start + longest)))
    text = [instant.isoformat() for instant in (start, end)]
    if draw(st.booleans()):
        text = [instant.replace("+00:00", "Z") for instant in text]
    return dict(zip(("start", "end"), text, strict=True))


@st.composite
def jobs(draw: st.DrawFn) -> Fields:
    """A valid job as a producer writes it, every combination of what may be left out."""
    job_type, interval = draw(st.sampled_from(tuple(MODELS))), draw(st.sampled_from(INTERVALS))
    symbols = draw(st.lists(_SYMBOLS, min_size=1, max_size=5, unique=True))
    most = min(MAX_BARS_PER_SYMBOL, MAX_BARS_PER_JOB // len(symbols))
    bars = windows(min(timedelta(minutes=MINUTES[interval]) * most, LAST - FIRST))
    who: Fields = {"job_type": st.just(job_type), "job_id": _text(JOB_ID)}
    may = {
        "provider_hint": st.none() | st.sampled_from(PROVIDERS),
        "requested_at": st.none() | instants().map(datetime.isoformat),
    }
    how = {"coverage": st.sampled_from(get_args(Coverage)), "allow_downgrade": st.booleans()}
    match job_type:
        case "bars":
            what: Fields = {"symbols": st.just(symbols), "interval": st.just(interval), "window": bars}
            bars_only = {
                "adjustment": st.sampled_from(get_args(Adjustment)),
                "extended_hours": st.booleans(),
            }
            return draw(st.fixed_dictionaries(who | what, optional=may | how | bars_only))
        case "quotes":
            window = st.none() | windows(timedelta(days=31))
            what = {"symbols": st.just(symbols)}
            return draw(st.fixed_dictionaries(who | what, optional=may | how | {"window": window}))
        case _:
            what = {
                "symbol": st.just(symbols[0]),
                "interval": st.just(interval),
                "window": bars,
                "priority": st.sampled_from(("T0", "T1", "T2")),
                "reason": st.text(_LINE, min_size=1, max_size=MAX_REASON),
            }
            return draw(st.fixed_dictionaries(who | what, optional=may))


_WORDS = st.sampled_from(
    ("", "bars", "1m", "1736173800", "2025-01-06", "AAPL\n", "\0", "T9", "😀")
) | st.text(max_size=10)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from((2**64, 10**400, -0.0, 1_736_173_800))
    | _WORDS
)
_KEYS = st.sampled_from(sorted({name for model in MODELS.values() for name in model.model_fields})) | _WORDS
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
#: with and without a type that is known: only then are the other fields looked at
OBJECTS = st.builds(
    dict[str, Any].__or__,
    st.dictionaries(_KEYS, VALUES, max_size=8),
    st.fixed_dictionaries({}, optional={"job_type": st.sampled_from(tuple(MODELS))}),
)


def told(value: bytes | None) -> str:
    """Return the detail of what is no job; it is fit for a header, a log and a terminal."""
    verdict = examine_job(value)
    assert isinstance(verdict, Poison), verdict
    assert len(verdict.detail) <= 512
    assert verdict.detail.isprintable()
    assert len(message_of(verdict).encode()) <= MAX_MESSAGE_BYTES
    return verdict.detail


def told_of(job: Fields) -> str:
    return told(json.dumps(job).encode())


def field_of(detail: str) -> str:
    """Return the field, without the place in it."""
    return re.split(r"[.:]", detail, maxsplit=1)[0]


def a_job(verdict: Job | Poison) -> Job:
    assert isinstance(verdict, BarsFetchJob | QuotesFetchJob | BackfillJob), verdict
    return verdict


class TestAnything:
    @PROPERTY
    @given(OBJECTS)
    def test_an_object_is_a_job_or_names_a_field(self, job: Fields) -> None:
        value = json.dumps(job).encode()
        if isinstance(examine_job(value), Poison):
            model = MODELS.get(str(job.get("job_type")))
            names = {*job, *model.model_fields} if model else {"job_type"}
            shown = {"".join(c if c.isprintable() else "\ufffd" for c in n) or '""' for n in names}
            assert told(value).startswith(tuple(f"{n}{end}" for n in shown for end in (": ", ".")))

    @PROPERTY
    @given(VALUES.filter(lambda value: not isinstance(value, dict)))
    def test_no_object_is_no_job(self, value: Any) -> None:
        assert told(json.dumps(value).encode()) == "value: Input should be an object"

    @PROPERTY
    @given(st.binary(max_size=80))
    def test_bytes(self, value: bytes) -> None:
        assert field_of(told(value)) in {"value", "job_type"}

    @PROPERTY
    @given(jobs(), st.integers(0, 400), st.integers(0, 3), st.binary(max_size=2))
    def test_garbled(self, job: Fields, at: int, cut: int, put: bytes) -> None:
        value = json.dumps(job).encode()
        garbled = value[: at % len(value)] + put + value[at % len(value) + cut :]
        if isinstance(examine_job(garbled), Poison):
            assert ": " in told(garbled)


class TestValid:
    @PROPERTY
    @given(jobs())
    def test_is_a_job_and_survives(self, written: Fields) -> None:
        job = a_job(examine_job(json.dumps(written).encode()))
        assert type(job) is MODELS[written["job_type"]]
        assert a_job(examine_job(encode_job(job))) == job
        assert encode_job(a_job(examine_job(encode_job(job)))) == encode_job(job)

    @PROPERTY
    @given(jobs())
    def test_says_what_was_written(self, written: Fields) -> None:
        job = a_job(examine_job(json.dumps(written).encode())).model_dump()
        for name, value in written.items():
            match name:
                case "window" if value is not None:
                    times = {edge: datetime.fromisoformat(text) for edge, text in value.items()}
                    assert job["window"] == times
                case "requested_at" if value is not None:
                    assert job[name] == datetime.fromisoformat(value)
                case "symbols":
                    assert list(job[name]) == value
                case _:
                    assert job[name] == value

    @PROPERTY
    @given(jobs(), st.randoms(use_true_random=False))
    def test_order_and_layout_do_not_matter(self, written: Fields, random: Any) -> None:
        names = list(written)
        random.shuffle(names)
        shuffled = json.dumps({name: written[name] for name in names}, indent=4).encode()
        assert examine_job(shuffled) == examine_job(json.dumps(written).encode())


class TestMutated:
    @PROPERTY
    @given(jobs(), st.data())
    def test_a_field_is_dropped(self, job: Fields, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(job)))
        without = {other: value for other, value in job.items() if other != name}
        if name == "job_type" or MODELS[job["job_type"]].model_fields[name].is_required():
            assert told_of(without) == f"{name}: Field required"
        else:
            a_job(examine_job(json.dumps(without).encode()))

    @PROPERTY
    @given(jobs(), st.data())
    def test_a_field_is_renamed(self, job: Fields, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(job)))
        renamed = {f"{n}x" if n == name else n: value for n, value in job.items()}
        if name == "job_type":
            assert told_of(renamed) == "job_type: Field required"
        elif MODELS[job["job_type"]].model_fields[name].is_required():
            assert told_of(renamed) == f"{name}: Field required (and 1 more)"
        else:
            assert told_of(renamed) == f"{name}x: Extra inputs are not permitted"

    @PROPERTY
    @given(jobs(), st.data())
    def test_a_field_is_of_another_type(self, job: Fields, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(job)))
        others: st.SearchStrategy[Any] = (
            st.integers() | st.floats() | st.just({}) | st.just([]) | st.lists(st.integers(), min_size=1)
        )
        assert field_of(told_of(job | {name: data.draw(others)})) == name

    @PROPERTY
    @given(jobs(), st.data())
    def test_a_field_is_nested(self, job: Fields, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(job)))
        nest = data.draw(st.sampled_from((lambda v: [v], lambda v: {"value": v}, lambda v: {name: v})))
        assert field_of(told_of(job | {name: nest(job[name])})) == name

    @PROPERTY
    @given(jobs())
    def test_the_job_is_nested(self, job: Fields) -> None:
        assert told_of({"job": job}) == "job_type: Field required"
        assert told(json.dumps([job]).encode()) == "value: Input should be an object"

    @PROPERTY
    @given(jobs(), st.sampled_from(("start", "end")), VALUES)
    def test_an_edge_of_the_window_is_another(self, job: Fields, edge: str, value: Any) -> None:
        if job.get("window"):
            wrong = job | {"window": job["window"] | {edge: value}}
            assert told_of(wrong).startswith(f"window.{edge}: Input should be ISO 8601 with a zone")


class TestDetail:
    @pytest.mark.parametrize(
        "job_type", ["bar", "BARS", "", "x" * 3_000, "\x1b[2J", None, 1, True, ["bars"], {}]
    )
    def test_an_unknown_type_is_not_repeated(self, job_type: Any) -> None:
        job = json.loads(encode_job(FIXTURES[0])) | {"job_type": job_type}
        assert told_of(job) == "job_type: Input should be one of 'bars', 'quotes', 'backfill'"

    def test_another_jobs_fields_are_extra(self) -> None:
        job = json.loads(encode_job(FIXTURES[0])) | {"job_type": "quotes"}
        assert told_of(job) == "interval: Extra inputs are not permitted (and 2 more)"

    def test_a_field_called_like_a_type(self) -> None:
        job = json.loads(encode_job(FIXTURES[0]))
        assert told_of(job | {"bars": 1}) == "bars: Extra inputs are not permitted"

    def test_places_are_counted_from_0(self) -> None:
        job = json.loads(encode_job(FIXTURES[1]))
        wrong = told_of(job | {"symbols": ["A", "B", "C", "d", "e"]})
        assert wrong.startswith("symbols.3: String should match pattern")
        assert wrong.endswith(" (and 1 more)")

    def test_how_many_more_is_said_however_long_the_rest(self) -> None:
        job = json.loads(encode_job(FIXTURES[0]))
        bad = {f"{'é' * 70}{i}": 1 for i in range(100)}
        assert told_of(job | bad) == f"{'é' * 64}: Extra inputs are not permitted (and 99 more)"

    def test_a_name_does_not_reach_the_terminal(self) -> None:
        job = json.loads(encode_job(FIXTURES[0]))
        assert told_of(job | {"\x1b[2J\u202ex": 1}) == "\ufffd[2J\ufffdx: Extra inputs are not permitted"
        assert told_of(job | {"": 1}) == '"": Extra inputs are not permitted'

    def test_of_a_name_twice_the_last_counts(self) -> None:
        value = encode_job(FIXTURES[0])
        assert examine_job(b'{"job_type":"quotes","interval":"9m",' + value[1:]) == FIXTURES[0]
        assert field_of(told(value[:-1] + b',"interval":"9m"}')) == "interval"

    @pytest.mark.parametrize(
        ("value", "reason", "detail"),
        [
            (None, Reason.EMPTY, "value: a tombstone"),
            (b"", Reason.EMPTY, "value: no bytes"),
            (b"null", Reason.SCHEMA, "value: Input should be an object"),
            (b"\xef\xbb\xbf{}", Reason.DESERIALIZE, "value: Invalid JSON: "),
            (b'{"job_id":"\xff"}', Reason.DESERIALIZE, "value: Invalid JSON: "),
            (b'{"job_id":"\\ud800"}', Reason.DESERIALIZE, "value: Invalid JSON: "),
            (b"{} {}", Reason.DESERIALIZE, "value: Invalid JSON: "),
            (b"\0\0\0\0\1{}", Reason.DESERIALIZE, "value: Invalid JSON: "),
            (b"[" * MAX_JOB_BYTES, Reason.DESERIALIZE, "value: Invalid JSON: recursion limit"),
            (b'{"window":' * 6_000, Reason.DESERIALIZE, "value: Invalid JSON: recursion limit"),
            (b" " * (MAX_JOB_BYTES + 1), Reason.TOO_LARGE, "value: 65537 bytes, at most 65536"),
        ],
    )
    def test_what_is_no_object(self, value: bytes | None, reason: Reason, detail: str) -> None:
        assert told(value).startswith(detail)
        verdict = examine_job(value)
        assert isinstance(verdict, Poison)
        assert verdict.reason is reason


class TestSize:
    def test_the_largest_job_fits_on_lines_of_its_own(self) -> None:
        symbols = [f"S{i:031d}" for i in range(MAX_SYMBOLS)]
        job = json.loads(encode_job(FIXTURES[0])) | {"symbols": symbols, "job_id": "j" * 128}
        value = json.dumps(job, indent=8).encode()
        assert len(value) < MAX_JOB_BYTES
        assert a_job(examine_job(value)).model_dump()["symbols"] == tuple(symbols)

    def test_the_longest_reason_fits_escaped(self) -> None:
        job = json.loads(encode_job(FIXTURES[2])) | {"reason": "😀" * MAX_REASON}
        a_job(examine_job(json.dumps(job, ensure_ascii=True).encode()))

    @pytest.mark.parametrize("job", FIXTURES, ids=lambda job: job.job_type)
    def test_the_limit_is_exact_and_comes_before_parsing(self, job: Job) -> None:
        value = encode_job(job)
        assert examine_job(value.ljust(MAX_JOB_BYTES)) == job
        assert told(value.ljust(MAX_JOB_BYTES + 1)) == "value: 65537 bytes, at most 65536"
        assert told(b"{" * (MAX_JOB_BYTES + 1)) == "value: 65537 bytes, at most 65536"
