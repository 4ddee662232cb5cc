"""Who serves deliveries: every worker whose service has a secret to sign them with."""

from __future__ import annotations

import time
from collections.abc import Callable

from unlost.handlers import Handlers, Task
from unlost.settings import Settings
from unlost.task import WEBHOOK_TYPE


class WebhooksAreOff(Exception):
    """There is no --webhook-secret to sign with."""


def serving(
    handlers: Handlers, settings: Settings, clock: Callable[[], float] = time.time
) -> Handlers:
    """The handlers, and the one of deliveries.

    Without a secret, those of named types leave deliveries to others; those of every type fail
    them, since they cannot leave them alone.
    """
    if settings.webhook_secret:
        from unlost.webhooks.delivery import Deliver  # noqa: PLC0415  other services need neither
        from unlost.webhooks.sending import Sender  # noqa: PLC0415

        deliver = Deliver(settings, Sender(settings.webhook_reach), clock)
        return handlers.with_own(WEBHOOK_TYPE, deliver)
    return handlers if handlers.types is not None else handlers.with_own(WEBHOOK_TYPE, _refuse)


async def _refuse(task: Task) -> None:
    raise WebhooksAreOff("there is no --webhook-secret to sign it with")
