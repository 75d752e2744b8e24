"""Data model, commitments, receipts, verdicts, records, audit. Imports storage and nothing else of ours."""
