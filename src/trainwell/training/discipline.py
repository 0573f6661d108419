"""How often the test split of a run was read: once is a test, more is a search."""

from __future__ import annotations

from trainwell.training.run_folder import RunFolder

TEST_READ = "test_read"
"""The event of a reading after the run's own, which is made once at its end."""


def count_test_reads(folder: RunFolder) -> int:
    """How often; 0 while the run has not ended, or where it has no test split."""
    metrics = folder.read_json_or_empty("result.json").get("metrics", {})
    own = any(name.startswith("test_") for name in metrics)
    return own + sum(event.get("event") == TEST_READ for event in folder.read_events())


def describe_test_reads(count: int) -> str:
    """A sentence on the discipline of the test; empty where the test split was not read."""
    if count == 0:
        return ""
    if count == 1:
        return (
            "The test split was read once, at the end; everything was chosen on the validation "
            "split."
        )
    return (
        f"The test split was read {count} times, the first at the end of the training: what was "
        "chosen after a look at it needs other data to be tested on."
    )
