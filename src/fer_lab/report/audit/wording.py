"""What the seven measures of dataset bias are called, and what each says, in words."""

from __future__ import annotations

from collections.abc import Mapping

MEASURE_CODES: Mapping[str, str] = {
    "wasserstein_distance": "WD",
    "jensen_shannon_divergence": "JSD",
    "conditional_entropy_bias": "CEBI",
    "sparsity_index": "SI",
    "normalized_shannon_entropy": "NSE",
    "normalized_label_skewness": "NLS",
    "group_normalized_mutual_information": "GNMI",
    "bias": "bias",
}

MEASURE_TITLES: Mapping[str, str] = {
    "wasserstein_distance": "Wasserstein distance",
    "jensen_shannon_divergence": "Jensen–Shannon divergence",
    "conditional_entropy_bias": "Conditional entropy bias",
    "sparsity_index": "Sparsity index",
    "normalized_shannon_entropy": "Normalized Shannon entropy",
    "normalized_label_skewness": "Normalized label skewness",
    "group_normalized_mutual_information": "Group normalized mutual information",
    "bias": "Bias",
}

# By variant; n labels, k groups.
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "equation": {
        "wasserstein_distance": "How far the label shares of two groups lie apart, label by label, "
        "averaged over labels and pairs of groups. It cannot exceed 2 / number of labels.",
        "jensen_shannon_divergence": "How well one label tells two groups apart, in bits, averaged "
        "over pairs of groups: 0 for the same labels, 1 for labels that never overlap.",
        "conditional_entropy_bias": "How much less open the label is once the group is known, "
        "averaged over groups. A group with more even labels than the whole counts as 0.",
        "group_normalized_mutual_information": "How much label and group say about each other, "
        "over the geometric mean of what is open about each.",
        "sparsity_index": "How much the labels of a group crowd on few expressions, averaged over "
        "groups: 0 when all are equally frequent, 1 when there is only one.",
        "normalized_shannon_entropy": "What the labels of a group lack to being even, weighted by "
        "the group's size. As printed it is divided by the number of groups k, so it cannot "
        "exceed 1 / k.",
        "normalized_label_skewness": "Whether one or two expressions stand out in a group, "
        "averaged over groups: the skewness S of the label shares as |S| / (1 + |S|).",
    },
    "published": {
        "wasserstein_distance": "As the equation, of the joint shares p(y, a): it is above 0 "
        "whenever groups differ in size.",
        "jensen_shannon_divergence": "As the equation, of the joint shares p(y, a): it is above 0 "
        "whenever groups differ in size.",
        "conditional_entropy_bias": "As the equation, with the sum of -p log p over the joint "
        "shares p(y, a): it mostly measures how small the groups are.",
        "group_normalized_mutual_information": "The logarithm of the number of groups over their "
        "mean label entropy: it does not depend on how label and group go together.",
        "sparsity_index": "As the equation, of squared joint shares p(y, a), its sign left out.",
        "normalized_shannon_entropy": "As the equation, with entropies in bits over a natural "
        "logarithm.",
        "normalized_label_skewness": "As the equation.",
    },
}

TRAP = (
    "The table published with these equations does not follow from them: values such as 82 % for "
    "CEBI and 67 % for GNMI are impossible for its data, for which the equations give about "
    "0.4 to 4 %."
)

VARIANTS: Mapping[str, str] = {
    "equation": "The measures are those of the equations. " + TRAP + " Compare with that table by "
    "variant=published, a reconstruction inferred from its numbers.",
    "published": "These are not the measures of the equations but a reconstruction, inferred from "
    "the numbers of the published table, to be compared with that table alone. " + TRAP,
}

UNEVEN = (
    "SI, NSE and NLS measure how uneven the labels are inside each group. They are not 0 for an "
    "attribute that has nothing to do with the label: look at what is above the null."
)
