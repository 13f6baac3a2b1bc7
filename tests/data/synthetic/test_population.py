from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scipy.stats import binomtest, chisquare, kstest

from fer_lab.data.synthetic import Appearance, Population
from fer_lab.data.synthetic.draws import uniform
from fer_lab.data.synthetic.people import AGE_YEARS, draw
from fer_lab.data.synthetic.population import ACCESSORIES, DEMOGRAPHICS
from fer_lab.data.vocabulary import EXPRESSIONS, expression_classes
from fer_lab.errors import ConfigError

CONF = Path(__file__).parents[3] / "conf"
SEVEN = expression_classes(7)
MASK = (1 << 64) - 1


def drawn(settings=None, count=20_000, seed=1, classes=SEVEN, base="fair"):
    population = Population.named(base).changed(settings or {})
    return draw(population, classes, seed, np.arange(count))


def believable(hits, trials, share):
    """Whether a count is within what chance allows at that share (one in ten thousand)."""
    return binomtest(int(hits), int(trials), share).pvalue > 1e-4


def test_draws_are_the_published_finaliser_of_a_counter():
    from hashlib import blake2b

    def mix(value):
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
        return value ^ (value >> 31)

    golden = 0x9E3779B97F4A7C15
    key = int.from_bytes(blake2b(b"tone", digest_size=8).digest(), "little")
    start = mix((5 + golden) & MASK)
    expected = mix((mix((123 * golden & MASK) ^ start) + key) & MASK) >> 11
    assert uniform(5, np.array([123]), ["tone"])[0, 0] == expected / 2**53


def test_draws_are_uniform_and_unrelated():
    columns = uniform(1, np.arange(50_000), ["a", "b"])
    other_seed = uniform(2, np.arange(50_000), ["a"])
    assert kstest(columns[:, 0], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(columns.T)[0, 1]) < 0.02
    assert abs(np.corrcoef(columns[:, 0], other_seed[:, 0])[0, 1]) < 0.02
    assert abs(np.corrcoef(columns[:-1, 0], columns[1:, 0])[0, 1]) < 0.02


def test_a_row_does_not_depend_on_the_other_rows():
    population = Population()
    many = draw(population, SEVEN, 3, np.arange(1000))
    few = draw(population, SEVEN, 3, np.array([999, 17]))
    for place, row in enumerate((999, 17)):
        assert few.label[place] == many.label[row]
        assert few.intensity[place] == many.intensity[row]
        assert all(few.groups[name][place] == many.groups[name][row] for name in DEMOGRAPHICS)
        assert all(few.accessories[n][place] == many.accessories[n][row] for n in ACCESSORIES)


@pytest.mark.parametrize("attribute", DEMOGRAPHICS)
def test_groups_have_their_shares(attribute):
    people = draw(Population(), SEVEN, 1, np.arange(20_000))
    shares = Population().shares[attribute]
    expected = np.array([shares[group] for group in DEMOGRAPHICS[attribute]])
    counts = np.bincount(people.groups[attribute], minlength=len(expected))
    assert chisquare(counts, expected / expected.sum() * counts.sum()).pvalue > 1e-3


def test_a_group_of_no_share_is_not_drawn():
    people = drawn(
        {"shares": {"gender": {"female": 1, "male": 0}, "age": {"54+": 1}, "race": {"asian": 3}}}
    )
    assert set(people.groups["gender"]) == {0}
    assert people.age_years.min() >= 54
    assert set(people.groups["race"]) == {DEMOGRAPHICS["race"].index("asian")}


def test_years_lie_in_their_age_group_and_reach_its_ends():
    people = drawn()
    for code, (first, last) in enumerate(AGE_YEARS):
        years = people.age_years[people.groups["age"] == code]
        assert (years.min(), years.max()) == (first, last)


def test_expressions_of_a_group_follow_the_product_of_its_weights():
    weights = {
        "all": {"sad": 2.0},
        "gender": {"female": {"happy": 3.0}},
        "age": {"54+": {"happy": 0}},
    }
    people = drawn({"expressions": weights, "label_noise": 0.0})
    female, old = people.groups["gender"] == 0, people.groups["age"] == 3
    for rows, expected in (
        (female & ~old, [1, 3, 2, 1, 1, 1, 1]),
        (~female & ~old, [1, 1, 2, 1, 1, 1, 1]),
    ):
        counts = np.bincount(people.expression[rows], minlength=7)
        assert chisquare(counts, np.array(expected) / sum(expected) * counts.sum()).pvalue > 1e-3
    assert (people.expression[old] != EXPRESSIONS.index("happy")).all()


def test_only_the_classes_asked_for_occur():
    people = drawn(classes=expression_classes(["sad", "contempt"]), settings={"label_noise": 0.3})
    allowed = {EXPRESSIONS.index("sad"), EXPRESSIONS.index("contempt")}
    assert set(people.expression) == set(people.label) == allowed


def test_expressivity_multiplies_the_intensity():
    plain = drawn()
    weaker = drawn({"expressivity": {"gender": {"male": 0.8}, "race": {"asian": 0.5}}})
    shown = plain.intensity > 0
    male = (plain.groups["gender"] == 1)[shown]
    asian = (plain.groups["race"] == DEMOGRAPHICS["race"].index("asian"))[shown]
    ratio = weaker.intensity[shown] / plain.intensity[shown]
    assert ratio == pytest.approx(np.where(male, 0.8, 1) * np.where(asian, 0.5, 1), rel=1e-5)
    assert plain.intensity[shown].min() >= 0.4
    assert drawn({"expressivity": {"all": 2}}).intensity.max() == 1


def test_neutral_has_no_intensity():
    people = drawn()
    assert ((people.intensity == 0) == (people.expression == 0)).all()


@pytest.mark.parametrize(("group", "rate"), [("black", 0.2), ("white", 0.03)])
def test_label_noise_has_its_rate_in_each_group(group, rate):
    people = drawn({"label_noise": {"all": 0.03, "race": {"black": 0.2}}})
    rows = people.groups["race"] == DEMOGRAPHICS["race"].index(group)
    wrong = (people.label != people.expression)[rows]
    assert believable(wrong.sum(), rows.sum(), rate)


def test_wrong_labels_are_spread_over_all_other_expressions():
    people = drawn({"label_noise": 1.0})
    assert (people.label != people.expression).all()
    happy = people.label[people.expression == 1]
    counts = np.bincount(happy, minlength=7)[[0, 2, 3, 4, 5, 6]]
    assert chisquare(counts).pvalue > 1e-3


def test_accessories_have_their_shares_by_group():
    people = draw(Population(), SEVEN, 1, np.arange(20_000))
    female = people.groups["gender"] == 0
    child = people.groups["age"] == 0
    worn = people.accessories
    assert believable(worn["lipstick"][female & ~child].sum(), (female & ~child).sum(), 0.4)
    assert not worn["lipstick"][child].any()
    assert believable(worn["hat"].sum(), len(female), 0.1)


@pytest.mark.parametrize("strength", [0.99, 0.7, 0.5, 0.1])
def test_planted_attribute_agrees_with_the_label_at_its_strength(strength):
    rule = {"attribute": "glasses", "value": True, "with": "label", "equals": "happy"}
    people = drawn({"planted": [{**rule, "strength": strength}], "label_noise": 0.1})
    happy = people.label == EXPRESSIONS.index("happy")
    agrees = people.accessories["glasses"] == happy
    for rows in (happy, ~happy):
        assert believable(agrees[rows].sum(), rows.sum(), strength)


def test_planted_demographics_keep_the_shares_of_the_other_groups():
    rule = {
        "attribute": "race",
        "value": "asian",
        "with": "label",
        "equals": "anger",
        "strength": 0.9,
    }
    people = drawn({"planted": [rule]})
    angry = people.label == EXPRESSIONS.index("anger")
    asian = people.groups["race"] == DEMOGRAPHICS["race"].index("asian")
    assert believable(asian[angry].sum(), angry.sum(), 0.9)
    assert believable(asian[~angry].sum(), (~angry).sum(), 0.1)
    others = np.bincount(people.groups["race"][~asian], minlength=6)
    assert chisquare(np.delete(others, DEMOGRAPHICS["race"].index("asian"))).pvalue > 1e-3


def test_planted_attributes_can_follow_each_other():
    rules = [
        {
            "attribute": "gender",
            "value": "male",
            "with": "race",
            "equals": "black",
            "strength": 0.95,
        },
        {"attribute": "hat", "value": "no", "with": "gender", "equals": "male", "strength": 0.8},
    ]
    people = drawn({"planted": rules})
    male = people.groups["gender"] == 1
    black = people.groups["race"] == DEMOGRAPHICS["race"].index("black")
    assert believable((male == black).sum(), len(male), 0.95)
    assert believable((people.accessories["hat"] != male).sum(), len(male), 0.8)


def test_fair_population_has_no_group_differences():
    people = drawn(count=30_000)
    for name, groups in DEMOGRAPHICS.items():
        codes = people.groups[name]
        means = [
            people.intensity[(codes == code) & (people.expression > 0)].mean()
            for code in range(len(groups))
        ]
        assert max(means) - min(means) < 0.015
        for accessory in ACCESSORIES:
            for code in range(len(groups)):
                rows = codes == code
                assert believable(people.accessories[accessory][rows].sum(), rows.sum(), 0.2)


RULE = {"attribute": "hat", "value": "yes", "with": "label", "equals": "happy", "strength": 0.9}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"shares": 3}, "3 is not a mapping"),
        ({"shares": {"gender": "female"}}, "'female' is not a mapping"),
        ({"expressions": {"gender": {"female": 2}}}, "2 is not a mapping"),
        ({"expressivity": {"gender": 0.5}}, "0.5 is not a mapping"),
        ({"accessories": {"hat": {"gender": {"woman": 1}}}}, "'woman'"),
        ({"label_noise": {"all": float("nan")}}, "nan"),
        ({"planted": "hat"}, "'hat' is not a list"),
        ({"planted": ["hat"]}, "'hat' is not a mapping"),
        ({"share": {}}, "did you mean 'shares'"),
        ({"shares": {"gender": {"woman": 1}}}, "'woman'"),
        ({"shares": {"gender": {"female": 0}, "age": {}, "race": {}}}, "no group is drawn"),
        ({"shares": {"gender": {"female": -1}}}, "-1"),
        ({"expressions": {"gender": {"male": {"angry": 2}}}}, "'angry'"),
        ({"expressivity": {"age": {"54": 0.5}}}, "'54'"),
        ({"expressivity": {"gender": {"male": 3}}}, "3 cannot stand for"),
        ({"label_noise": {"all": 1.5}}, "1.5"),
        ({"accessories": {"monocle": 0.2}}, "'monocle'"),
        ({"accessories": {"hat": "often"}}, "'often'"),
        ({"intensity": [0, 1]}, "intensity 0.0 to 1.0"),
        ({"intensity": 0.4}, "0.4 is not a lowest and a highest"),
        ({"planted": [{**RULE, "attribute": "scarf"}]}, "'scarf'"),
        ({"planted": [{**RULE, "value": "maybe"}]}, "'maybe'"),
        ({"planted": [{**RULE, "equals": "yes"}]}, "'yes'"),
        ({"planted": [{**RULE, "strength": 1.1}]}, "1.1"),
        ({"planted": [{"attribute": "hat"}]}, "lacks equals, value, with"),
        ({"planted": [RULE, RULE]}, "would be undone"),
        ({"planted": [{**RULE, "target": "label"}]}, "'target'"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings, named):
    with pytest.raises(ConfigError, match="population") as caught:
        Population.of(settings)
    assert named in str(caught.value)


def test_a_group_left_without_expression_is_an_error():
    weights = {"gender": {"male": dict.fromkeys(SEVEN, 0)}}
    with pytest.raises(ConfigError, match="without any expression"):
        drawn({"expressions": weights})


@pytest.mark.parametrize("name", ["biased", "fair"])
def test_the_options_of_the_configuration_are_the_named_populations(name):
    written = OmegaConf.to_container(OmegaConf.load(CONF / "population" / f"{name}.yaml"))
    assert Population.of(written).settings() == Population.named(name).settings()


def test_the_appearance_of_the_configuration_is_the_default():
    written = OmegaConf.to_container(OmegaConf.load(CONF / "dataset" / "synthetic.yaml"))
    assert Appearance.of(written["appearance"]).settings() == Appearance().settings()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"blurr": [0, 1]}, "did you mean 'blur'"),
        ({"blur": [1, 0]}, "1 to 0"),
        ({"blur": 1}, "1 is not a lowest"),
        ({"scale": [0, 1]}, "0 to 1"),
        ({"yaw": 50}, "50 cannot stand for"),
    ],
)
def test_an_appearance_that_cannot_be_drawn_is_named(settings, named):
    with pytest.raises(ConfigError) as caught:
        Appearance.of(settings)
    assert named in str(caught.value)


def test_fields_not_given_keep_their_values():
    changed = Population.of({"shares": {"race": {"asian": 1}}, "accessories": {"hat": 0.9}})
    default = Population()
    assert changed.shares == {**default.shares, "race": {"asian": 1}}
    assert changed.accessories == {**default.accessories, "hat": 0.9}
    assert changed.expressions == default.expressions


@pytest.mark.parametrize(
    "override",
    [
        "population.expressions.race={black:{anger:2}}",
        "population.expressivity.race.asian=0.5",
        "population.label_noise.race.white=0.1",
        "population.accessories.hat={all:0.1,gender:{male:0.5}}",
        "population.planted=[{attribute:hat,value:yes,with:label,equals:sad,strength:0.9}]",
    ],
)
@pytest.mark.parametrize("name", ["biased", "fair"])
def test_populations_are_changed_on_the_command_line(name, override):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose(overrides=[f"+population={name}", override])
    settings = OmegaConf.to_container(composed.population)
    assert Population.of(settings).settings() != Population.named(name).settings()
