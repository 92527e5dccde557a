"""Functions that StepFlow makes in the target because translated expressions need them."""

from __future__ import annotations

from stepflow_tui.engine.plan.quote import pg_name

JSON_VALID = "_sf_json_valid"
"""Name of the function that answers SQLite's json_valid() for text."""

_BODIES = {
    JSON_VALID: """create or replace function {name}(value text) returns boolean language plpgsql immutable strict as $function$
begin
  perform value::json;
  return true;
exception when invalid_text_representation then
  return false;
end
$function$"""
}


HELPERS = frozenset(_BODIES)
"""Names that no trigger function may take."""


def helper_sql(schema: str, name: str) -> str:
    """CREATE FUNCTION for one helper."""
    return _BODIES[name].format(name=pg_name(schema, name))


def helper_undo(schema: str, name: str) -> str:
    """DROP FUNCTION for one helper."""
    return f"drop function if exists {pg_name(schema, name)}(text)"
