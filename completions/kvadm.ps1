# Completion of kvadm in PowerShell.
kvadm completions powershell | Out-String | Invoke-Expression
