"""Clocks, waiting, time zones, and asyncio on virtual time."""

import asyncio
import datetime
import os
import select
import threading
import time

from probing import FIXED, TIMED, ask, probe, said


def took(wait, *arguments):
    start = time.monotonic()
    result = said(wait, *arguments)
    return round(time.monotonic() - start, 3), result


@probe(FIXED)
def clock_info():
    names = "time", "monotonic", "perf_counter", "process_time", "thread_time"
    return [(name, said(time.get_clock_info, name)) for name in names], [ask(time, "clock_getres", n) for n in range(4)]


@probe(FIXED)
def waiting():
    poll = select.poll()
    return [
        took(time.sleep, 3600), took(time.sleep, 1e-9), took(select.select, [], [], [], 2.5), took(poll.poll, 1500),
        took(threading.Event().wait, 60), took(threading.Lock().acquire, True, 1),
    ]  # fmt: skip


@probe(FIXED)
def cpu_times():
    return os.times(), said(__import__, "resource"), time.thread_time() > 0


@probe(TIMED)
def dates():
    now = datetime.datetime.now()
    return (
        now.isoformat(),
        now.strftime("%c %x %X %p %j %U %Z"),
        datetime.datetime.fromtimestamp(time.time()),
        now.date(),
    )


@probe(FIXED)
def formatted_dates():
    moment = datetime.datetime(2024, 2, 29, 23, 59, 58, 999999, datetime.UTC)
    formats = "%c|%x|%X|%p|%j|%U|%W|%V|%G|%Z|%z|%a %A %b %B|%e|%s|%Q|%-d|%5Y|%E|%"
    old = datetime.date(9, 1, 2).strftime("%Y %y"), said(time.strftime, "%Y", (10**9, 1, 1, 0, 0, 0, 0, 1, 0))
    return [(f, said(moment.strftime, f)) for f in formats.split("|")], old


@probe(FIXED)
def another_time_zone():
    before = os.environ["TZ"]
    os.environ["TZ"] = "America/New_York"
    seen = (
        ask(time, "tzset"),
        time.tzname,
        time.timezone,
        time.localtime(1e9),
        time.strftime("%z", time.localtime(1e9)),
        time.mktime(time.gmtime(0)),
    )
    os.environ["TZ"] = before
    return seen


@probe(FIXED)
def zone_files():
    import zoneinfo

    return zoneinfo.TZPATH, zoneinfo.available_timezones(), said(zoneinfo.ZoneInfo, "Europe/Paris")


@probe(FIXED)
def asyncio_timers():
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        start = loop.time()
        same = start + 3
        for n in range(12):
            loop.call_at(same, seen.append, n)
            loop.call_later((7 * n) % 5, seen.append, f"later {n}")
        await asyncio.sleep(3600)
        return round(loop.time() - start, 3)

    return asyncio.run(main()), seen


@probe(FIXED)
def asyncio_timeouts():
    async def late():
        await asyncio.sleep(10)

    async def main():
        seen = []
        try:
            async with asyncio.timeout(5):
                await late()
        except TimeoutError:
            seen.append("timeout")
        try:
            await asyncio.wait_for(late(), 5)
        except TimeoutError:
            seen.append("wait_for")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(late())
                group.create_task(asyncio.wait_for(late(), 1))
        except* TimeoutError as error:
            seen.append(repr(error.exceptions))
        done, waiting_ = await asyncio.wait([asyncio.create_task(late()) for _ in range(3)], timeout=1)
        seen += [len(done), len(waiting_), asyncio.current_task().get_name()]
        try:
            async with asyncio.timeout(0.005):
                for n in range(10**6):
                    await asyncio.sleep(0)
        except TimeoutError:
            seen.append(n)
        return seen

    return asyncio.run(main())


@probe(FIXED)
def asyncio_for_ever():
    async def main():
        await asyncio.get_running_loop().create_future()

    return said(asyncio.run, main())
