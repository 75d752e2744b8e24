"""From request to output: plan, locks, prepared runtimes, workers, engines."""
