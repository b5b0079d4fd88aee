"""Users, their roles in projects, and the permissions of each role."""

from combine_core.users.actions import (
    ActionDone,
    UserAction,
    erase_in_add_ons,
    report_action,
    report_command,
)
from combine_core.users.model import Membership, User
from combine_core.users.permission import (
    ROLE_PERMISSIONS,
    Identity,
    Permission,
    Role,
    RoleChanged,
)
from combine_core.users.service import (
    InvalidEmail,
    add_user,
    clean_domain,
    clean_email,
    colliding_emails,
    find_user,
    get_or_create_user,
    is_mail_on,
    is_reserved,
    list_roles,
    set_mail,
)

__all__ = [
    "ROLE_PERMISSIONS",
    "ActionDone",
    "Identity",
    "InvalidEmail",
    "Membership",
    "Permission",
    "Role",
    "RoleChanged",
    "User",
    "UserAction",
    "add_user",
    "clean_domain",
    "clean_email",
    "colliding_emails",
    "erase_in_add_ons",
    "find_user",
    "get_or_create_user",
    "is_mail_on",
    "is_reserved",
    "list_roles",
    "report_action",
    "report_command",
    "set_mail",
]
