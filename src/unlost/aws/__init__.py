"""The AWS home: entry points of its Lambda functions, thin over the worker, the API, the monitor
and the sweeper.

`api`, `process`, `monitor`, `sweep` and `count` each have `handler(event, context)`; each imports
only what it runs.  `environment` is what the functions are told, `sandbox` what one keeps from an
invocation to the next, `queue` the two SQS queues, `messages` what goes through them.
"""
