"""Leaves a trace if it is told to, and tells how things stand otherwise. `skip` is for a weakened host."""

import leaving
import looking


def main(data, trace="", skip=""):
    return leaving.TRACES[trace]() if trace else looking.look()
