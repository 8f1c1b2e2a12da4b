"""One thin command per job."""
