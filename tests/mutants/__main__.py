"""Put faults into a copy of the program, one at a time: which tests notice, and which do not?"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.mutants.faults import ROOT, Fault, NotApplicable, all_faults, chosen
from tests.mutants.run import NOTICED, TIMED_OUT, UNNOTICED, UNSOUND, Copy, keys_of

Record = dict[str, Any]


def main() -> int:
    """0 when every fault is noticed or explained, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="areas, directories or files of mnistctl")
    parser.add_argument("--list", action="store_true", help="show the faults, run nothing")
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / ".mutants.jsonl",
        help="where results are kept; what is there and still holds is not run again",
    )
    options = parser.parse_args()
    faults = chosen(all_faults(), options.modules)
    if not faults:
        parser.error(f"no fault in {', '.join(options.modules)}")
    if options.list:
        for fault in faults:
            print(f"{fault.area:<10} {fault.file}: {_first_line(fault.text)}\n{'':<11}{fault.why}")
        return 0
    records = _run(faults, options.results)
    return _summary(faults, records)


def _run(faults: Sequence[Fault], results: Path) -> list[Record]:
    """The record of each fault, from `results` or new."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    known: dict[str, Record] = {}
    likely: dict[str, str] = {}
    for record in map(json.loads, lines):
        known[record["key"]] = record
        likely[record["fault"]] = record["test"] if record["status"] == NOTICED else ""
    keys = [keys_of(fault) for fault in faults]
    with tempfile.TemporaryDirectory() as directory, results.open("a", encoding="utf-8") as file:
        copy = Copy(Path(directory)) if any(not _is_known(known, key) for _, key in keys) else None

        def keep(record: Record) -> None:
            known[record["key"]] = record
            print(json.dumps(record), file=file, flush=True)

        for number, (fault, (own, key)) in enumerate(zip(faults, keys, strict=True), 1):
            if key not in known:
                assert copy is not None
                found = _result(copy, fault, likely.get(own, ""))
                about = {"key": key, "fault": own, "area": fault.area, "file": fault.file}
                keep(about | found | {"sound": found["status"] != NOTICED})
            _show(number, len(faults), fault, known[key])
        unsure = [known[key] for _, key in keys if not known[key]["sound"]]
        if unsure:
            assert copy is not None
            print("Do these tests pass without the faults?", flush=True)
            failed = copy.unsound(record["test"] for record in unsure)
            for record in unsure:
                status = UNSOUND if record["test"] in failed else NOTICED
                keep(record | {"status": status, "sound": True})
    return [known[key] for _, key in keys]


def _is_known(known: dict[str, Record], key: str) -> bool:
    return key in known and known[key]["sound"]


def _result(copy: Copy, fault: Fault, likely: str) -> Record:
    try:
        return copy.try_fault(fault, likely).to_dict()
    except NotApplicable as error:
        return {"status": "not applicable", "test": str(error), "seconds": 0.0}


def _show(number: int, total: int, fault: Fault, record: Record) -> None:
    place = f"{number}/{total} {fault.file}: {_first_line(fault.text)}"
    by = f" by {record['test']}" if record["test"] else ""
    print(f"{place}\n    {record['status']}{by} ({record['seconds']:.0f} s)", flush=True)


def _summary(faults: Sequence[Fault], records: Sequence[Record]) -> int:
    """A line per area, and what is to be done."""
    print(f"\n{'area':<10} {'faults':>6} {'noticed':>7} {'in time':>7} {'explained':>9}  share")
    pairs = list(zip(faults, records, strict=True))
    areas = sorted({fault.area for fault in faults})
    for area in [*areas, "all"]:
        own = [pair for pair in pairs if area in (pair[0].area, "all")]
        seen = sum(record["status"] in (NOTICED, TIMED_OUT) for _, record in own)
        late = sum(record["status"] == TIMED_OUT for _, record in own)
        explained = sum(bool(fault.explained) for fault, _ in own)
        share = f"{100 * seen / len(own):.1f} %"
        print(f"{area:<10} {len(own):>6} {seen:>7} {seen - late:>7} {explained:>9}  {share}")
    open_ = [pair for pair in pairs if pair[1]["status"] not in (NOTICED, TIMED_OUT)]
    for fault, record in open_:
        print(f"\n{record['status']}: {fault.file}: {_first_line(fault.text)}\n  {fault.why}")
        if fault.explained or record["test"]:
            print(f"  {fault.explained or record['test']}")
    return int(any(r["status"] != UNNOTICED or not fault.explained for fault, r in open_))


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
