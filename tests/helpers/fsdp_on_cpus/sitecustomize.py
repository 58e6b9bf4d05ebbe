"""On the path of a process that `accelerate launch` starts with FSDP: the weights are shared over CPUs (gloo).

accelerate shares weights over GPUs alone, though torch can over CPUs too; what is tested is all that lies around it.
"""

import importlib.abc
import importlib.util
import os
import sys


class _Finder(importlib.abc.MetaPathFinder):
    """Changes `accelerate.state` when it is imported, which is long after this file is."""

    def find_spec(self, name, path, target=None):
        if name != "accelerate.state":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            module.PartialState._prepare_backend = lambda *_: _gloo(module)
            module.PartialState.set_device = _take_the_cpu

        spec.loader.exec_module = exec_module
        return spec


def _gloo(module):
    import torch

    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return "gloo", module.DistributedType.MULTI_GPU  # the word for several processes


def _take_the_cpu(state):
    import torch

    state.device = torch.device("cpu")


if os.environ.get("ACCELERATE_USE_FSDP") == "true":
    sys.meta_path.insert(0, _Finder())
