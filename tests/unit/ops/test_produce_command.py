"""What `tapeflow produce` understands of its options."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from ops.commands.produce import _pairs, produce
from tests.unit.ops.files import row


@pytest.mark.parametrize("pair", ["venue", "=x", "venue=", ""])
def test_a_pair_has_two_sides(pair):
    with pytest.raises(click.UsageError, match="write --set field=value"):
        _pairs("--set", [pair])


def test_a_value_may_hold_the_sign_and_a_name_comes_once():
    assert _pairs("--map", ["price=a=b", "size=c"]) == {"price": "a=b", "size": "c"}
    with pytest.raises(click.UsageError, match="--map price is given twice"):
        _pairs("--map", ["price=a", "price=b"])


@pytest.mark.parametrize(
    ("suffix", "text"), [(".ndjson", True), (".jsonl", True), (".NDJSON", True), (".csv", False)]
)
def test_the_suffix_tells_the_format(tmp_path, suffix, text):
    path = tmp_path / f"trades{suffix}"
    header = b"symbol,ts_event,price,size,provider\nAAPL,2025-11-10T17:23:53Z,10,1,a\n"
    path.write_bytes(row() if text else header)
    done = CliRunner().invoke(produce, [str(path), "--dry-run", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["rows"]) == (0, 1), done.output


def test_a_dry_run_reads_no_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("WEB_PORT", "nonsense")
    path = tmp_path / "trades.ndjson"
    path.write_bytes(row())
    done = CliRunner().invoke(produce, [str(path), "--dry-run"])
    assert done.exit_code == 0
    assert done.stdout.startswith("1 rows, 1 good (dry run, nothing sent), 0 bad")


def test_more_bad_rows_than_anybody_reads_are_counted(tmp_path):
    path = tmp_path / "trades.ndjson"
    path.write_bytes(b"\n".join(row(n, price=-1) for n in range(50)))
    done = CliRunner().invoke(produce, [str(path), "--dry-run"])
    told = [line for line in done.stderr.splitlines() if line.startswith("line ")]
    assert [line.partition(":")[0] for line in told] == [f"line {n}" for n in range(1, 21)]
    assert "... and 30 more bad rows" in done.stderr
