"""What a message shows of values that come from outside."""

from sr_experiments.core.errors import UserError


def test_a_name_cannot_steer_the_terminal_or_break_the_line():
    name = "a\x1b[2J\x85b\u2028c\td\x7f"
    text = str(UserError("missing", "{name}: no such file", name=name))
    assert text == r"a\x1b[2J\x85b\u2028c\td\x7f: no such file"
    inner = UserError("inner", "größe {name}", name="日本\x07")
    assert (
        str(UserError("outer", "{inner}\nsee above", inner=inner)) == "größe 日本\\x07\nsee above"
    )
