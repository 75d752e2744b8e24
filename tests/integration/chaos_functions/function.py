"""Ten functions as people write them, each with one thing that makes its output an accident; marked `# planted`."""

from archive_report import archive_report
from cluster_points import cluster_points
from deduplicate import deduplicate
from invoice_total import invoice_total
from merge_logs import merge_logs
from normalise import normalise
from price_list import price_list
from scratch_file import scratch_file
from tag_index import tag_index
from ticket_names import ticket_names
