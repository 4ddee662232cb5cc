"""What goes over the wire, as values, one file for each group of calls.

Answers are encoded from these, and the OpenAPI document's schemas are made from them.  Bodies that
come in are read by hand (`request`), for all their faults at once; their classes here only describe
them.
"""
