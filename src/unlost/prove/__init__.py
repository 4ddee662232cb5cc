"""`unlost prove`: a user's own handler, run by the real processes while things go wrong.

`fates` says what befalls which attempt; it depends on the seed alone.  `injected` is what the
worker processes load in place of the user's handler: it wraps that and carries the fates out, with
`cut_off` between the worker and its ledger, and writes to the `journal`.  `course` runs the
processes (`tree`), submits (`submitting`), and waits for the end.  `account` then compares the
ledger, the journal and what a probe found (`probing`), and makes a `report`, which `page` shows
as HTML.
"""
