"""Selects the tools that a conversation offers to its model, by its settings and the model's properties."""

from msgspec.structs import asdict

from greenroom.config.models import SearchContent
from greenroom.config.schema import SearchOptions, WebSearchMode
from greenroom.config.settings import Settings
from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.catalog import ToolOffer, definitions


def offered_tools(settings: Settings) -> list[JsonObject]:
    """Return the definitions of the built-in tools, in the form of the Responses API, and of those that the server
    runs."""
    family, responses = settings.model_family, settings.provider.wire_api == "responses"
    offer = ToolOffer(
        command_tool=family.command_tool,
        patch_tool=family.patch_tool if responses else "function",
        include_plan=settings.include_plan_tool,
        may_escalate=settings.approval_policy == "on-request" and settings.sandbox_policy.type != "danger-full-access",
        may_login=settings.allow_login_shell,
        takes_images=family.image_input,
    )
    tools = definitions(offer)
    mode, content = _search_mode(settings), _search_content(settings)
    if responses and mode != "disabled" and content != "none":
        tools.append(_web_search(mode, content, settings.search_options))
    return tools


def _search_mode(settings: Settings) -> WebSearchMode:
    """Return the configured search, else OpenAI's own: no other server is known to have one."""
    if settings.web_search is not None:
        return settings.web_search
    if not settings.provider.requires_openai_auth:
        return "disabled"
    return "live" if settings.sandbox_policy.type == "danger-full-access" else "cached"


def _search_content(settings: Settings) -> SearchContent:
    """Return the search that the model supports. If one is configured for an unknown model, text."""
    family = settings.model_family
    return "text" if not family.known and settings.web_search is not None else family.web_search


def _web_search(mode: WebSearchMode, content: SearchContent, options: SearchOptions) -> JsonObject:
    location = options.location
    further: JsonObject = {
        "indexed_web_access": True if mode == "indexed" else None,
        "search_content_types": ["text", "image"] if content == "text_and_image" else None,
        "filters": {"allowed_domains": list(options.allowed_domains)} if options.allowed_domains else None,
        "user_location": location and {"type": "approximate", **_given(asdict(location))},
        "search_context_size": options.context_size,
    }
    return {"type": "web_search", "external_web_access": mode != "cached", **_given(further)}


def _given(values: JsonObject) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}
