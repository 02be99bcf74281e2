"""What PostgreSQL knows, as metrics: one file per part, one function per part, read at each scrape."""
