"""Which tools a conversation offers to its model, by its settings and by what is known of the model."""

from config.settings import Settings
from workers.model.items import JsonObject
from workers.tools.catalog import definitions


def offered_tools(settings: Settings) -> list[JsonObject]:
    """Return the definitions of our own tools, as the Responses API has them."""
    family, responses = settings.model_family, settings.provider.wire_api == "responses"
    return definitions(
        command_tool=family.command_tool,
        patch_tool=family.patch_tool if responses else "function",
        include_plan=settings.include_plan_tool,
        may_escalate=settings.approval_policy == "on-request" and settings.sandbox_policy.type != "danger-full-access",
        view_image=family.image_input,
        may_login=settings.allow_login_shell,
    )
