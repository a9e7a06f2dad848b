"""The stages of the flow, one loop each; they meet only in the journal and never call one another."""
