"""`bacalhau store`: how full the block store is, what is kept in it, and whether it is sound."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import cid_text, parse_cid, split_cid
from storage.counting import counted


@click.group("store", short_help="Look after the blocks on this machine.")
def command() -> None:
    """Look after the blocks on this machine: how many, which are kept, and whether they are sound."""


@command.command("stat", short_help="How full the store is.")
@json_option
@click.pass_context
def stat(ctx: click.Context, /, as_json: bool) -> int:
    """Show how full the store is, and its quota; and what is kept beside it to go on from (docs/notebooks.md)."""
    from bacalhau.render import print_json, print_text
    from runtime.checkpoint_store import list_checkpoints
    from storage.sqlite_pins import pins

    services = services_of(ctx)
    kept = list_checkpoints(services.home.checkpoints_dir)
    with services.open_store() as store:
        usage, pinned, path = store.usage(), len(pins(store)), store.path
        on_disk = sum(file.stat().st_size for file in path.parent.glob(path.name + "*") if file.is_file())
    shown = {
        "blocks": usage.blocks,
        "bytes": usage.bytes,
        "quota": usage.quota,
        "disk_bytes": on_disk,
        "pins": pinned,
        "checkpoints": len(kept),
        "checkpoint_bytes": sum(found.st_size for _, found in kept),
        "path": str(path),
    }
    if as_json:
        print_json(shown)
    else:
        for name, value in shown.items():
            print_text(f"{name:<16} {'none' if value is None else value}")
    return ExitCode.DONE


@command.command("gc", short_help="Remove the blocks that nothing needs.")
@click.option("--dry-run", is_flag=True, help="Count what would be removed, and remove nothing.")
@json_option
@click.pass_context
def gc(ctx: click.Context, /, dry_run: bool, as_json: bool) -> int:
    """Remove the blocks that no pin, no job with its record, no node and no running command needs.

    What was verified in the last 30 days stays as well.
    """
    import time

    from bacalhau.kept_roots import JobRoots
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text
    from network.result_store import KEPT_S
    from storage.sqlite_collection import collect, try_collect

    services = services_of(ctx)
    with (
        services.open_store() as store,
        services.open_jobs() as jobs,
        services.open_datastore() as datastore,
        services.open_results() as results,
        services.open_published() as logs,
        shown_progress() as display,
    ):
        since = time.time() - KEPT_S
        if not dry_run:
            results.forget(before=since)
        roots = JobRoots(jobs, datastore, results, since=since, published=logs.roots)
        done = (try_collect if dry_run else collect)(store, roots, display.step)
    if as_json:
        print_json({
            "removed_blocks": done.removed_blocks,
            "removed_bytes": done.removed_bytes,
            "kept_blocks": done.kept_blocks,
            "kept_bytes": done.kept_bytes,
            "missing": done.missing,
            "dry_run": dry_run,
        })  # fmt: skip
    else:
        removed, kept = ("would remove", "would keep  ") if dry_run else ("removed", "kept   ")
        print_text(f"{removed} {counted(done.removed_blocks, 'block')}, {done.removed_bytes} bytes")
        print_text(f"{kept} {counted(done.kept_blocks, 'block')}, {done.kept_bytes} bytes")
    return ExitCode.DONE


@command.command("verify", short_help="Read every block and check it.")
@json_option
@click.pass_context
def verify(ctx: click.Context, /, as_json: bool) -> int:
    """Read every block, check it against its digest, and check that what is pinned is whole. Changes nothing.

    Exit code 1 if a block is corrupt or missing; each is named. Adding its content again repairs it.
    """
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text
    from storage.sqlite_pins import pins
    from storage.sqlite_verify import verify as verify_store

    with services_of(ctx).open_store() as store, shown_progress() as display:
        found = verify_store(store, [pin.cid for pin in pins(store)], display.step)
    if as_json:
        print_json({
            "ok": not found.corrupt and not found.missing,
            "blocks": found.blocks,
            "bytes": found.bytes,
            "corrupt": [{"cid": cid_text(cid), "multihash": cid[2:].hex()} for cid in found.corrupt],
            "missing": [cid_text(cid) for cid in found.missing],
        })  # fmt: skip
    else:
        for cid in found.corrupt:
            print_text(f"corrupt {cid_text(cid)}  sha2-256 {split_cid(cid).digest.hex()}")
        for cid in found.missing:
            print_text(f"missing {cid_text(cid)}")
        print_text(
            f"{counted(found.blocks, 'block')}, {found.bytes} bytes,"
            f" {len(found.corrupt)} corrupt, {len(found.missing)} missing"
        )
    return ExitCode.NOT_VERIFIED if found.corrupt or found.missing else ExitCode.DONE


@command.command("pins", short_help="List what is pinned.")
@json_option
@click.pass_context
def list_pins(ctx: click.Context, /, as_json: bool) -> int:
    """List pins: CID, time, UnixFS profile and name. With --json, one object a line."""
    from bacalhau.render import print_json, print_text
    from bacalhau.terminal_text import visible
    from storage.sqlite_pins import pins

    with services_of(ctx).open_store() as store:
        found = pins(store)
    for pin in found:
        at = datetime.fromtimestamp(pin.created_at, UTC).isoformat(timespec="seconds")
        if as_json:
            print_json({"name": pin.name, "cid": cid_text(pin.cid), "created_at": at, "profile": pin.profile})
        else:
            print_text(f"{cid_text(pin.cid)}  {at}  {pin.profile or '-':<14}  {visible(pin.name)}")
    return ExitCode.DONE


@command.command("pin", short_help="Keep a CID and all that is below it.")
@click.argument("cid", type=named_text)
@click.option("--name", type=named_text, help="The pin's name; default: the CID.")
@json_option
@click.pass_context
def pin(ctx: click.Context, /, cid: str, name: str | None, as_json: bool) -> int:
    """Keep a CID and all that is below it until it is unpinned. All of it must be here."""
    from bacalhau.render import print_json, print_text
    from storage.sqlite_pins import Pin
    from storage.sqlite_pins import pin as pin_in

    wanted = parse_cid(cid)
    new = Pin(name=name or cid_text(wanted), cid=wanted, profile=None, created_at=time.time())
    with services_of(ctx).open_store() as store:
        pin_in(store, new)
    print_json({"name": new.name, "cid": cid_text(wanted)}) if as_json else print_text(new.name)
    return ExitCode.DONE


@command.command("unpin", short_help="Let go of a pin.")
@click.argument("name", type=named_text)
@json_option
@click.pass_context
def unpin(ctx: click.Context, /, name: str, as_json: bool) -> int:
    """Let go of a pin; its blocks go with the next `gc` if nothing else needs them."""
    from bacalhau.render import print_json, print_text
    from storage.sqlite_pins import unpin as unpin_in

    with services_of(ctx).open_store() as store:
        removed = unpin_in(store, name)
    print_json({"name": name, "cid": cid_text(removed.cid)}) if as_json else print_text(cid_text(removed.cid))
    return ExitCode.DONE


@command.command("quota", short_help="Bound the bytes of all blocks.")
@click.argument("size", type=named_text)
@json_option
@click.pass_context
def quota(ctx: click.Context, /, size: str, as_json: bool) -> int:
    """Bound the bytes of all blocks: a SIZE such as 20Gb, or `none`. Removes nothing."""
    from bacalhau.render import print_json, print_text
    from runtime.quantity import parse_bytes

    bound = None if size == "none" else parse_bytes(size, where="store quota")
    with services_of(ctx).open_store() as store:
        store.set_quota(bound)
    print_json({"quota": bound}) if as_json else print_text("none" if bound is None else str(bound))
    return ExitCode.DONE
