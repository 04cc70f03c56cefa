"""SuDoRM-RF in its five variants."""
