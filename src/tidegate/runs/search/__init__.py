"""How runs are asked for: a filter and an order are texts, parsed into typed records that a store compiles.

The grammar is MLflow's, and more. A comparison names a field and a value::

    metrics.auc > 0.8          the last value; metrics.min(loss), metrics.max(auc) over all steps
    metrics.best(loss) < 0.1   the least for < and <=, the greatest for > and >=
    params.depth = 'deep'      as text: =, !=, LIKE, ILIKE, IN, NOT IN
    params.depth >= 3          as a number, where the value is one; params.number(depth) where no value tells
    tags.team LIKE 'risk%'     tags."a b" and tags.`a b` for names with other characters
    datasets.digest = '…'      of any input: name, digest, label
    status IN ('failed')       attributes, also written attributes.status: see `fields.ATTRIBUTES`
    tags.team IS NOT NULL      whether there is one

AND, OR, NOT and parentheses join them. A comparison with something that a run lacks is false, so that ``NOT`` of it
is true. ``%`` and ``_`` stand for any text and any character, after a backslash for themselves; ILIKE ignores the
case of ASCII letters. NaN equals nothing and is neither less nor greater. ``strict_mlflow`` refuses what MLflow does
not know.
"""
