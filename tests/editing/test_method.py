"""The card of a method: what can be set, and what a plug-in's card must not say."""

from dataclasses import replace

import pytest

from evalkit.editing.method import METHODS, MethodCard, Setting, checked_card
from evalkit.errors import BrokenPluginError, OptionError
from tests.support.toys import CARD, Toy, toy

# Settings


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("strength", "0.25", 0.25),
        ("strength", " 1 ", 1.0),
        ("steps", "1", 1),
        ("blend", "max", "max"),
        ("flip", "TRUE", True),
        ("flip", "false", False),
        ("limit", "none", None),
        ("limit", "", None),
        ("limit", "255", 255.0),
    ],
)
def test_a_typed_value_becomes_one_of_the_settings_own_type(name, text, value):
    """Numbers, whole numbers, words, truth values and nothing at all are read, at the ends of their ranges too."""
    parsed = CARD.values(miniature=False, chosen={name: text})[name]
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("strength", "1.01", "a number from 0 to 1"),
        ("strength", "-0.1", "a number from 0 to 1"),
        ("strength", "nan", "a number from 0 to 1"),
        ("strength", "much", "a number from 0 to 1"),
        ("strength", "none", "a number from 0 to 1"),
        ("strength", "true", "a number from 0 to 1"),
        ("steps", "0", "a whole number from 1"),
        ("steps", "2.0", "a whole number from 1"),
        ("blend", "min", "one of mean, max"),
        ("blend", "", "one of mean, max"),
        ("flip", "1", "true or false"),
        ("limit", "256", "none or a number up to 255"),
        ("limit", "-inf", "none or a number up to 255"),
        ("limit", "word", "none or a number up to 255"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_refused(name, text, rule):
    """The message names the setting, what it can be, and what was typed."""
    with pytest.raises(OptionError) as refused:
        CARD.values(miniature=False, chosen={name: text})
    assert str(refused.value) == f"The setting '{name}' must be {rule}; got '{text}'."


def test_an_unbounded_number_is_still_finite():
    """Where the card gives no range, infinity is refused and any number is not, however large."""
    assert Setting(default=1, summary="").parse("n", "1" + "0" * 400) == 10**400
    for default in (1, 1.0, None):
        with pytest.raises(OptionError, match=r"must be (none or )?a (whole )?number; got 'inf'"):
            Setting(default=default, summary="").parse("n", "inf")


def test_an_unknown_setting_is_refused_with_the_nearest_and_all():
    """A misspelt name is corrected; a wild one is answered with the list."""
    with pytest.raises(
        OptionError, match=r"toy has no setting 'strenght'. Did you mean strength[?] Its settings: strength"
    ):
        CARD.values(miniature=False, chosen={"strenght": "1"})
    with pytest.raises(OptionError, match=r"no setting 'zzz'. Its settings: strength, steps, blend, flip, limit[.]"):
        CARD.values(miniature=False, chosen={"zzz": "1"})
    with pytest.raises(OptionError, match=r"Its settings: none[.]"):
        replace(CARD, settings={}, miniature=None).values(miniature=False, chosen={"zzz": "1"})


def test_the_user_overrides_the_miniature_and_the_miniature_the_published_values():
    """Published values by default; the card's own with the miniature model; what the user typed over both."""
    assert CARD.values(miniature=False)["steps"] == 50
    assert CARD.values(miniature=True)["steps"] == 5
    assert CARD.values(miniature=True, chosen={"steps": "7"})["steps"] == 7
    assert CARD.values(miniature=True)["strength"] == 0.5
    assert CARD.values(miniature=False) == {name: setting.default for name, setting in CARD.settings.items()}


# Cards


def test_every_method_of_ours_has_a_sound_card_under_its_own_name():
    """Each is registered as its card is called, and its defaults and miniature values obey its own rules."""
    ours = [entry for entry in METHODS.entries() if entry.provider == "evalkit-editing"]
    assert len(ours) >= 8
    for entry in ours:
        card = checked_card(entry.value, registered=entry.name)
        assert card.summary.endswith(".")
        assert not card.base_model or card.miniature is not None or card.edit_types is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "Toy Method"}, "name must be in lower_snake_case, got 'Toy Method'"),
        ({"title": None}, "title must be a text, got None"),
        ({"paper": 3}, "paper must be a text, got 3"),
        ({"needs": frozenset({"prompt"})}, "needs may hold source_caption, target_caption, .*; got prompt"),
        ({"takes": frozenset({"depth"})}, "takes may hold .*; got depth"),
        ({"needs": ["target_caption"]}, "needs must be a set, got list"),
        ({"takes": "target_caption"}, "takes must be a set, got str"),
        ({"settings": {"a": 1}}, r"settings\['a'\] must be a Setting, got 1"),
        ({"settings": ["a"]}, "'list' object has no attribute"),
        ({"settings": {"a": Setting(default=2, summary="", highest=1)}}, "'a' must be a whole number up to 1; its"),
        ({"settings": {"a": Setting(default="x", summary="", choices=("y",))}}, "'a' must be one of y; its default"),
        ({"settings": {"a": Setting(default=[], summary="")}}, r"'a' must be a number; its default is \[\]"),
        ({"miniature": {"step": 5}}, "miniature names 'step', which is none of its settings"),
        ({"miniature": {"steps": 0}}, "'steps' must be a whole number from 1; its value in miniature is 0"),
        ({"miniature": {"steps": 5.0}}, "'steps' must be a whole number from 1; its value in miniature is 5.0"),
        ({"miniature": {"flip": 1}}, "'flip' must be true or false; its value in miniature is 1"),
    ],
)  # fmt: skip
def test_a_card_that_contradicts_itself_is_refused(change, fault):
    """The message names the method and the field."""
    with pytest.raises(BrokenPluginError, match=fault) as refused:
        checked_card(toy(**{"miniature": None, **change}))
    assert str(refused.value).startswith(f"The card of the method {change.get('name', 'toy')} is wrong: ")


def test_all_faults_of_a_card_are_listed_at_once():
    """Its author need not find them one by one."""
    with pytest.raises(BrokenPluginError, match=r"title must be a text, got None; miniature names 'x', which is none"):
        checked_card(toy(title=None, miniature={"x": 1}))


@pytest.mark.parametrize("value", [None, 3, Toy(), type("Bare", (), {}), type("Odd", (), {"card": {}})])
def test_what_is_no_adapter_is_refused(value):
    """An entry point that leads to something else, an object instead of its class included, is named."""
    with pytest.raises(BrokenPluginError, match="is no adapter: expected a class with a card of type MethodCard"):
        checked_card(value)


def test_an_adapter_that_lacks_a_function_is_refused():
    """All that is missing is named."""
    with pytest.raises(BrokenPluginError, match="The method toy is no adapter: it lacks fit, edit"):
        checked_card(type("Half", (), {"card": CARD, "load": print, "edit": "soon"}))


def test_a_method_under_another_name_is_refused():
    """What is typed, what is listed and what stands in the manifest are one name."""
    assert checked_card(Toy, registered="toy") is CARD
    with pytest.raises(BrokenPluginError, match=r"'toys' is registered under another name than its card's.*'toy'"):
        checked_card(Toy, registered="toys")


def test_a_card_cannot_be_changed():
    """Two runs of one process see the same card."""
    with pytest.raises(AttributeError):
        CARD.name = "other"
    assert isinstance(CARD, MethodCard)
