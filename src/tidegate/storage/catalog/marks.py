"""The mark that each transaction on PostgreSQL leaves, so that its outcome can be asked when the answer was lost.

A transaction's own number will not do: after a crash the server gives the numbers of transactions whose log it
had not written yet to others, and would call them committed.
"""

import sqlalchemy as sa

from tidegate.storage.schema import table

marks = table(
    "transaction_mark",
    sa.Column("writer", sa.String(32), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.Float(53), nullable=False),
    room="storage",
)
