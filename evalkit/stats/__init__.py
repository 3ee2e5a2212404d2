"""Statistics of edits: arrays in, frozen records out; numpy and scipy only.

Start with `paired.compare_paired` for two methods, `families.compare_methods` for any number, `ranking.rank_sets` for a
table of ranks, `intervals` for one method's mean, `power` and `seeds` for planning, `validity` for metrics themselves.
What they stand on: `permutation` (the primary test), `exact` (counting sign arrangements), `resample` (random signs and
bootstrap weights), `multiplicity`, `equivalence`, `effect`, `rank_effect`, `sensitivity`, `simultaneous`, `verdict`.

The unit of inference is the group, items that share a source image; ignoring that makes one true null in five
"significant" instead of one in twenty (tests/studies/error_rates.json).
"""
