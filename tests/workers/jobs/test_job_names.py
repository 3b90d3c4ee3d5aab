"""Each job is named by its params, and done by the module of that name."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import cast

import pytest

from greenroom import protocol, sessions
from greenroom.protocol.internal.jobs import JobParams
from greenroom.protocol.internal.worker.operations import RunJob
from greenroom.protocol.message import pack, unpack
from greenroom.protocol.methods import METHODS, Method
from greenroom.supervisor.frontend.job_methods import params_of
from greenroom.workers import jobs
from greenroom.workers.jobs.job import module_of


def modules_of(package: ModuleType) -> list[ModuleType]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found]


PARAMS: set[type[JobParams]] = {
    cast("type[JobParams]", value)
    for module in [*modules_of(protocol), *modules_of(sessions)]
    for value in vars(module).values()
    if inspect.isclass(value) and value.__module__ == module.__name__ and isinstance(vars(value).get("job"), str)
}
MODULES = {module.__name__ for module in modules_of(jobs) if inspect.iscoroutinefunction(vars(module).get("run"))}


def test_each_job_has_params_that_name_it_and_a_module_that_reads_them() -> None:
    assert {module_of(params.job) for params in PARAMS} == MODULES
    assert len(PARAMS) == len(MODULES)
    for params in PARAMS:
        assert vars(importlib.import_module(module_of(params.job))).get(params.__name__) is params


@pytest.mark.parametrize("method", [method for method in METHODS.values() if method.job_failure is not None])
def test_a_method_that_a_job_serves_has_the_params_of_the_job(method: Method) -> None:
    assert params_of(method) in PARAMS


@pytest.mark.parametrize("name", ["", "../x", "a.b", "a_b", "-a", "a-"])
def test_a_name_is_never_more_than_a_module_of_this_folder(name: str) -> None:
    with pytest.raises(Exception, match="name"):
        unpack(RunJob, pack(RunJob(name=name)))
