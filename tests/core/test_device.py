"""What is asked of the machine: how OpenMP's threads wait, and which arithmetic is fast."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sr_experiments.config.compose import compose
from sr_experiments.core import device

PRINTS = """
import os, sys
from sr_experiments.{module} import main
assert "torch" not in sys.modules
main({arguments})
print("spins", os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("module", "arguments"), [("__main__", ["scle=1"]), ("score", ["nowhere", "x", "--scale", "2"])]
)
@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_asleep_unless_the_user_says_otherwise(module, arguments, own, expected):
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = PRINTS.format(module=module, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | own, capture_output=True, text=True, check=True
    )
    assert f"spins {expected}" in done.stdout


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 fma", False), ("fpu avx512f avx512_bf16", True), ("fpu amx_bf16 amx_tile", True)],
)
def test_bf16_is_used_where_the_processor_computes_it(monkeypatch, flags, expected):
    text = f"model name\t: any\nflags\t\t: {flags}\nbugs\t: avx512_bf16\n"
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert device.computes_bf16("cpu") == expected


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_fast_says_what_it_computes(monkeypatch, supported, precision):
    monkeypatch.setattr("sr_experiments.config.schema.computes_bf16", lambda name: supported)
    config = compose(["trainer=fast"])
    assert config.trainer.precision == precision and config.trainer.fused
    assert compose(["trainer=fast", "trainer.precision=16-mixed"]).trainer.precision == "16-mixed"
