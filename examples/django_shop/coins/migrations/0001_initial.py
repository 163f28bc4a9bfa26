"""The accounts, and the table of receipts beside them."""

from typing import Any

from django.db import migrations, models

from orderway import receipts


def make_receipts(apps: Any, editor: Any) -> None:
    """Make the table of Orderway's receipts in Django's database."""
    receipts.create_table(editor.connection)


class Migration(migrations.Migration):
    """The first tables."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            "Account",
            [
                ("uid", models.CharField(max_length=128, primary_key=True, serialize=False)),
                ("coins", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RunPython(make_receipts, migrations.RunPython.noop),
    )
