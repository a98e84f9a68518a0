"""What people read: leaderboards, progress, tables, CSV and JSON. Pure rendering over the ledger's records."""
