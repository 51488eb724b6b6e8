// Runs before anything is drawn: the colours and the language that were chosen, so that nothing flashes.
{
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("imgnn")) ?? {};
  } catch {
    // Storage is off, or holds something else: the system's choice is as good.
  }
  const language = kept.language ?? (navigator.language.startsWith("ja") ? "ja" : "en");
  document.documentElement.lang = language === "ja" ? "ja" : "en";
  if (kept.theme === "light" || kept.theme === "dark") document.documentElement.dataset.theme = kept.theme;
}
