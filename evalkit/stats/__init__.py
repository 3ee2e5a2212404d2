"""Statistics of edits: arrays in, frozen records out; numpy and scipy only.

`compare.compare_methods` compares any number of methods on the same items and `ranking.rank_methods` ranks them: what
``evalkit compare``, the board and the reports show, from `scores.MetricScores` and `scores.InferenceOptions`.
`intervals` hold the mean of one method, `power` and `seeds` plan a study, `agreement` says whether a metric measures
anything.

What they stand on: `clusters` (items that come in groups), `permutation` (the primary test), `signs` (counted, listed
or drawn) and `bootstrap`, `rank_tests` (in its place where they are asked for), `equivalence`, `multiplicity`.

The unit of inference is the group, items that share a source image; ignoring that calls two equal methods different in
one study of nine instead of one of twenty (TEdBench's groups; tests/studies/error_rates.md).
"""
