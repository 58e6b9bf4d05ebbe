"""What every layer may use: tables, texts, folders, processes, messages."""
