"""What `import amused_edge` gives, and what it costs."""

import subprocess
import sys

import pytest

import amused_edge


@pytest.mark.parametrize("name", amused_edge.__all__)
def test_public_names_come_from_the_runtime(name: str) -> None:
    import amused_edge.runtime

    assert getattr(amused_edge, name) is getattr(amused_edge.runtime, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = amused_edge.Nonsense


def test_importing_the_hall_imports_no_library() -> None:
    code = "import sys, amused_edge; print(sorted({'numpy', 'onnxruntime', 'click', 'rich'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_the_runtime_does_not_import_the_engine() -> None:
    code = "import sys, amused_edge.runtime; print('onnxruntime' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
