"""What `import ganforge` costs those who only want its version."""

import subprocess
import sys

import ganforge

SEEN = "import sys, ganforge; ganforge.load; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def test_importing_ganforge_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "ganforge" in loaded
    assert loaded & {"torch", "numpy", "pydantic", "mlflow", "safetensors", "pluggy", "ganforge_vanilla"} == set()


def test_all_that_the_package_offers_is_there():
    assert all(hasattr(ganforge, name) for name in ganforge.__all__)
