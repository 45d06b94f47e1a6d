"""Subject ids: a name and its parts say the same."""

import pytest

from logitmus.core.subject import SubjectId


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("torch:cross_entropy@cpu", SubjectId("torch", "cross_entropy", (), "cpu")),
        ("torch:nn.NLLLoss+compile@cuda:1", SubjectId("torch", "nn.NLLLoss", ("compile",), "cuda:1")),
        ("jax:a.b+jit+x64@cpu", SubjectId("jax", "a.b", ("jit", "x64"), "cpu")),
        ("cross_entropy", SubjectId("", "cross_entropy")),
        ("cross_entropy+compile", SubjectId("", "cross_entropy", ("compile",))),
    ],
)
def test_an_id_and_its_parts_say_the_same(text: str, parts: SubjectId) -> None:
    assert SubjectId.parse(text) == parts
    assert str(parts) == text


def test_the_qualified_name_leaves_out_mode_and_device() -> None:
    assert SubjectId.parse("torch:cross_entropy+compile@cuda").qualified_name == "torch:cross_entropy"
    assert SubjectId.parse("cross_entropy@cuda").qualified_name == "cross_entropy"
