"""The methods that a job serves as it is: their params are those of the job, their results those of the job."""

import importlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, Request
from greenroom.protocol.methods import METHODS, Method
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod as Answers
from greenroom.supervisor.frontend.request_queue import RequestAnswer

if TYPE_CHECKING:
    from greenroom.protocol.internal.jobs import JobParams

JobParamsType: TypeAlias = "type[JobParams]"


def job_methods(jobs: Jobs) -> Mapping[str, Answers]:
    """Return all of them (`Method.job_failure`), by name."""
    return {
        name: partial(_run, jobs, params_of(method), method.job_failure)
        for name, method in METHODS.items()
        if method.job_failure is not None
    }


def params_of(method: Method) -> JobParamsType:
    """Return the struct for the params of a method that a job serves."""
    (path,) = method.params
    module, _, name = path.rpartition(".")
    params: JobParamsType = getattr(importlib.import_module(f"greenroom.protocol.{module}"), name)
    return params


async def _run(jobs: Jobs, params: JobParamsType, failure: str, request: Request) -> RequestAnswer:
    try:
        return RequestAnswer(await jobs.run(decode(request, params)))
    except JobFailedError as error:
        raise RefusedError(INTERNAL_ERROR, f"{failure}: {error}") from None
