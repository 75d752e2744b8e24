"""What can be exhausted: the guest's own bounds, and the process's behind them."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from runtime.engine import UndeterminedError
from runtime.jail import JailReport, Level
from tests.adversary.escapes.attempt import alone
from tests.requirements_gate import need

pytestmark = pytest.mark.integration

EXHAUST: Final = """
import errno, json

def until_refused(act):
    for count in range(10**6):
        try: act(count)
        except OSError as error: return [errno.errorcode[error.errno], count]

met = {"descriptors": until_refused(lambda _: os.open("/tmp", os.O_RDONLY))}
os.closerange(3, 5000)
reading, writing = os.pipe()
met["a pipe"] = until_refused(lambda _: os.write(writing, bytes(4096)))
met["many pipes"] = until_refused(lambda _: os.pipe())
os.closerange(3, 5000)
os.close(os.open("/tmp/own", os.O_CREAT | os.O_RDWR))
met["directories"] = until_refused(lambda count: os.mkdir(f"/tmp/{count}"))
met["links"] = until_refused(lambda count: os.symlink("x" * 60000, f"/tmp/link{count}"))
met["a sparse file"] = until_refused(lambda _: os.truncate("/tmp/own", 1 << 29))
return json.dumps(met)
"""


def test_descriptors_pipes_and_nodes_are_counted(house: Any) -> None:
    met = json.loads(house.run(alone(EXHAUST), memory="64Mb").result)
    count = met["directories"].pop()
    assert 60_000 < count < 65_536
    assert met == {
        "descriptors": ["EMFILE", 4093],
        "a pipe": ["EAGAIN", 16],
        "many pipes": ["EMFILE", 2046],
        "directories": ["ENOSPC"],
        "links": ["ENOSPC", 0],
        "a sparse file": ["ENOSPC", 0],
    }


FILL: Final = """
for number in range(8):
    file = os.open(f"/tmp/{number}", os.O_CREAT | os.O_RDWR)
    try: os.truncate(file, 1 << 29)
    except OSError as error: return f"{number} {error.strerror}"
return "filled"
"""
"""Eight files of half a gibibyte, which Node keeps outside of the guest's memory."""


def test_without_the_bound_of_the_disk_the_process_s_memory_is(without: Any, report: JailReport) -> None:
    assert without("disk", level=Level.NONE).run(alone(FILL), memory="64Mb").result == "filled"  # the control
    need("jail", report.level is not Level.NONE, "no level")
    with pytest.raises(UndeterminedError, match="RangeError: Array buffer allocation failed"):
        without("disk").run(alone(FILL), memory="64Mb")
