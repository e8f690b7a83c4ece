"""Who takes part: by name, and which module and class that is."""

CONTESTANTS = {
    "journey": ("journey", "JourneyAsync"),
    "journey-uvloop": ("journey", "JourneyAsyncOnUvloop"),
    "bare": ("bare", "Bare"),
    "bare-claims": ("bare", "BareWithClaims"),
    "dbos": ("dbos", "Dbos"),
    "langgraph": ("langgraph", "LangGraph"),
    "absurd": ("absurd", "Absurd"),
    "pgqueuer": ("pgqueuer", "Pgqueuer"),
    "procrastinate": ("procrastinate", "Procrastinate"),
}
