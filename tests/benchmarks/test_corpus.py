from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict

import pytest

from benchmarks.corpus.__main__ import main
from benchmarks.corpus.frozen import RECORD, describe
from benchmarks.corpus.program import HALVES, Outcome, Program, split_halves
from benchmarks.corpus.programs import PROGRAMS
from benchmarks.corpus.running import Named, Result, list_trainings, run_all, run_one
from benchmarks.corpus.tables import confuse, summarise
from trainwell.findings import CODES

FAULTY = [program for program in PROGRAMS.values() if program.codes]
HEALTHY = [program for program in PROGRAMS.values() if not program.codes]


VERSIONS = sorted({program.version for program in PROGRAMS.values()})


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_as_large_as_it_was_asked_to_be(version: int):
    faulty = [program for program in FAULTY if program.version == version]
    healthy = [program for program in HEALTHY if program.version == version]
    assert len(faulty) >= 80
    assert len(healthy) >= 40
    assert sum(program.subtle for program in faulty) >= len(faulty) / 4


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_has_every_root_cause_in_both_halves(version: int):
    halves = split_halves(list(PROGRAMS.values()))
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for program in FAULTY:
        if program.version == version:
            found[program.codes[0]][halves[program.name]] += 1
    assert set(found) == set(CODES) - {"not_learning"}
    for cause, counts in found.items():
        assert set(counts) == set(HALVES), cause
        assert abs(counts["development"] - counts["held-out"]) <= 1, cause


def test_a_program_of_a_later_version_moves_no_other_to_the_other_half():
    before = split_halves(list(PROGRAMS.values()))
    later = Program("aaa-later", ("bad_init",), lambda watch, faulty: Outcome(0, 0), version=99)
    after = split_halves([*PROGRAMS.values(), later])
    assert {name: after[name] for name in before} == before


def test_the_order_of_registration_does_not_decide_the_half():
    programs = list(PROGRAMS.values())
    assert split_halves(programs) == split_halves(programs[::-1])


def test_the_corpus_is_frozen():
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    now = describe()
    assert now["files"] == recorded["files"], "programs are added in new files; see the README"
    assert now["halves"] == recorded["halves"]


def make_result(codes: str, *findings: tuple[str, str], error: str = "") -> Result:
    named = tuple(Named(code, severity) for code, severity in findings)
    kind = "faulty" if codes else "twin"
    return Result("name", kind, tuple(codes.split()), named, error=error)


def test_shares_count_what_they_say():
    results = [
        make_result("bad_init", ("bad_init", "error")),
        make_result("bad_init", ("lr_too_low", "warning"), ("bad_init", "warning")),
        make_result("bad_init vanishing_gradient", ("vanishing_gradient", "error")),
        make_result("bad_init", ("bad_init", "note")),
        make_result("", ("overfitting", "note")),
        make_result("", ("overfitting", "warning")),
        make_result("", error="broke"),
        make_result(""),
    ]
    shares = {share.title.strip(): share for share in summarise(results)}
    assert (shares["detected"].count, shares["detected"].total) == (3, 4)
    assert shares["first finding is a true cause"].count == 2
    assert shares["a true cause in the first three"].count == 3
    assert (shares["false alarms"].count, shares["false alarms"].total) == (2, 4)
    assert confuse(results)["bad_init"] == {"bad_init": 2, "lr_too_low": 1, "-": 1}


def test_intervals_are_those_of_clopper_and_pearson():
    results = [make_result("bad_init", ("bad_init", "error"))] * 10
    low, high = summarise(results)[0].interval
    assert low == pytest.approx(0.025 ** (1 / 10))  # all of ten: the bound has a closed form
    assert high == 1


def test_a_training_is_the_same_each_time():
    first = run_one(("wine-negates-the-loss", "faulty"), "none")
    again = run_one(("wine-negates-the-loss", "faulty"), "none")
    assert (first.score, first.valid_losses) == (again.score, again.valid_losses)


def test_the_command_prints_one_json_document(capsys: pytest.CaptureFixture[str]):
    arguments = ["--half", "all", "--program", "linear-at-the-noise-floor", "--watcher", "none"]
    main([*arguments, "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["results"][0]["name"] == "linear-at-the-noise-floor"
    assert printed["summary"]["false alarms"]["total"] == 1


def test_the_command_keeps_to_the_programs_of_one_version(capsys: pytest.CaptureFixture[str]):
    first, second = "linear-at-the-noise-floor", "iris-one-linear-layer"
    assert [PROGRAMS[name].version for name in (first, second)] == [1, 2]
    named = ["--program", first, "--program", second]
    main(["--half", "all", "--version", "2", "--watcher", "none", "--json", *named])
    printed = json.loads(capsys.readouterr().out)
    assert printed["version"] == 2
    assert [result["name"] for result in printed["results"]] == [second]


def pick_programs() -> list[Program]:
    """Every eighth of the frozen programs, by the digests of their names; all where asked for."""
    programs = sorted(PROGRAMS.values(), key=lambda p: hashlib.sha256(p.name.encode()).digest())
    return programs if os.environ.get("TRAINWELL_EVERY_PROGRAM") else programs[::8]


@pytest.mark.slow
@pytest.mark.parametrize("program", pick_programs(), ids=lambda program: program.name)
def test_the_fault_has_a_consequence_and_the_healthy_training_learns(program: Program):
    found = {(r.name, r.kind): r for r in run_all(list_trainings([program]), "none", jobs=1)}
    assert not [*judge_healthy(program, found), *judge_faulty(program, found)]


def judge_healthy(program: Program, found: dict[tuple[str, str], Result]) -> list[str]:
    """What is wrong with the training that should be healthy."""
    result = found[program.name, "healthy" if program.is_healthy else "twin"]
    if result.error:
        return [f"{program.name}: {result.error}"]
    complaints = []
    if not result.score >= program.learns:
        complaints.append(f"{program.name}: healthy scores {result.score:.3f}")
    best, last = min(result.valid_losses), result.valid_losses[-1]
    if not last - best <= 0.25 * abs(best) + 0.05:
        complaints.append(f"{program.name}: healthy loss rises from {best:.3f} to {last:.3f}")
    return complaints


def judge_faulty(program: Program, found: dict[tuple[str, str], Result]) -> list[str]:
    """What is wrong with the fault: nobody would see it."""
    if program.is_healthy:
        return []
    faulty, twin = found[program.name, "faulty"], found[program.name, "twin"]
    if faulty.error:
        return [f"{program.name}: {faulty.error}"]
    gap = twin.score - faulty.score
    if program.inflates:
        gap = (faulty.reported - faulty.score) - (twin.reported - twin.score)
    if not gap >= program.margin:
        return [f"{program.name}: the fault makes a difference of only {gap:.3f}"]
    return []
