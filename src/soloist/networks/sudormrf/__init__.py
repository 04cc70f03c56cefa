"""SuDoRM-RF: improved, original, causal, attentive, and with group communication."""
