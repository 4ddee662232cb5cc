"""Records: counted, and copied with all that is kept of them."""
