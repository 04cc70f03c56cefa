"""How well systems separate: scores of whole corpora, their costs, and a report."""
