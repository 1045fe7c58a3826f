// The theme that was chosen, before anything is painted; without a choice the system's.
"use strict";
const chosen = localStorage.getItem("tidewell-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
