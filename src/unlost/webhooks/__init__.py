"""Webhooks: telling others over HTTP that a task has come to its end.

The settlement that ends a task brings another one, of the type `unlost.webhook`, in the same step
(`notices`).  Its handler (`delivery`) signs what is told (`signature`) and sends it (`sending`), to
nobody whom it must not reach (`target`).  So a delivery is retried, counted, dead-lettered and
redriven like any task.
"""
